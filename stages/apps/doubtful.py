"""List the labels of a corpus that are probably wrong, and draw their images: `python -m stages.apps.doubtful faces`.

They are copies with different labels, which the audit of the split found, and validation and test samples for which
all runs on the corpus agree on another class. Nothing is changed; `splits.<corpus>.on_duplicate: drop` takes such
copies out of train.
"""

import argparse
from pathlib import Path

from stages.checks.params import load
from stages.core import lookup
from stages.core.command import HelpFormatter, item
from stages.core.errors import UserError, exit_with_one_line, refuse
from stages.core.files import read_json, write_csv
from stages.core.outputs import require_outputs, require_png
from stages.evaluation import ensemble
from stages.evaluation.pictures.canvas import Caption
from stages.explain.doubtful_labels import conflicts, contradicted, draw, require_current

COLUMNS = ("set", "sample_id", "part", "label", "reason")


def main() -> None:
    args = parser().parse_args()
    require_outputs({"--png": args.png, "--csv": args.csv})
    require_png({"--png": args.png})
    if not 0 <= args.threshold <= 1:
        refuse("not a probability", where="--threshold", allowed="0 to 1", received=args.threshold)
    if args.count < 2:
        refuse("too few", where="--count", allowed="2 or more", received=args.count)
    params = load(Path("params.yaml"))
    corpus = item(params.corpora, args.corpus, "corpora")
    runs = args.runs or [key for key, run in params.runs.items() if run.corpus == args.corpus]
    split = read_json(Path(f"data/splits/{args.corpus}.json"))
    members = ensemble.read(Path("data/predictions"), runs, args.corpus, "--runs")
    archive = Path(f"data/raw/{args.corpus}.zip")
    read = lookup.read(corpus.reader, archive, class_names=corpus.class_names, labels=corpus.labels)
    records = {record.sample_id: record for record in read if record.label in corpus.classes}
    require_current(split, set(members[runs[0]].columns["sample_id"]), set(records), args.corpus)
    found = list(conflicts(split, {name: record.label for name, record in records.items()}))
    classes, first = list(members[runs[0]].origin["classes"]), max((one.set_number for one in found), default=0) + 1
    copies = len(found)
    found += contradicted(members, classes, args.threshold, first)
    if args.csv:
        write_csv(args.csv, COLUMNS, (vars(one).values() for one in found))
    for one in found[: args.count]:
        print(f"{one.set_number:>4}  {one.sample_id}  {one.part}  {one.label}: {one.reason}")
    sizes = f"{copies} copies in {first - 1} sets with several labels, {len(found) - copies} contradicted samples"
    print(f"{args.corpus}: {sizes}" + (f"; {args.count} are shown" if len(found) > args.count else ""))
    if args.png and found:
        others = found[copies:][: max(args.count // 2, args.count - copies)]
        shown = found[: min(copies, args.count - len(others))] + others
        origin = members[runs[0]].origin
        facts = str(origin["name"]), split["protocol"], len(found), bool(origin["synthetic"])
        draw_images(args.png, shown, records, Caption(args.corpus, *facts))


def draw_images(path: Path, shown: list, records: dict, heading: Caption) -> None:
    images = {one.sample_id: records[one.sample_id].load()[0] for one in shown}
    if any(image.dtype != "uint8" for image in images.values()):
        raise UserError("--png: allowed with images; use --csv for sound and EEG")
    draw(path, heading, shown, images)
    print(path)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    made.add_argument("corpus", help="a key of corpora in params.yaml, such as faces")
    made.add_argument("--runs", nargs="+", metavar="RUN", help="runs that must agree (default: all on the corpus)")
    made.add_argument("--threshold", type=float, default=0.8, help="least mean probability of the other class")
    made.add_argument("--count", type=int, default=64, help="samples that are printed and drawn")
    made.add_argument("--csv", type=Path, help="write all of them to this file")
    made.add_argument("--png", type=Path, help="draw a contact sheet of the first ones")
    return made


if __name__ == "__main__":
    exit_with_one_line(main)
