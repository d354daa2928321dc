"""Print the `dvc exp run` line that runs a real corpus at the published settings.

    python -m stages.apps.published faces /data/fer2013.zip --name FER-2013

params.yaml holds small values, so that the default run works anywhere. The line sets the published ones: the recipe
`<recipe>_published` where there is one, image sizes, options of models, epochs and trials.
"""

import argparse
import os
import shlex
import subprocess
import sys
from pathlib import Path

from stages.checks.params import load
from stages.core.command import HelpFormatter, item
from stages.core.errors import exit_with_one_line
from stages.experiments.published_settings import exp_run, published
from stages.params.load import parse
from stages.params.schema import IN_PLACE, source_kind


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    parser.add_argument("corpus", help="a key of corpora in params.yaml, such as faces")
    parser.add_argument("source", help="path of a zip, tar, folder or csv, an https URL, or kaggle:<owner>/<slug>")
    parser.add_argument("--name", help="shown with every figure (default: taken from the source)")
    parser.add_argument("--apply", action="store_true", help="run the line instead of printing it")
    parser.add_argument("-S", dest="more", action="append", default=[], help="another setting, as in dvc exp run")
    args = parser.parse_args()
    params = load(Path("params.yaml"))
    item(params.corpora, args.corpus, "corpora")
    is_complete = args.source.startswith(IN_PLACE) or source_kind(args.source) in ("url", "kaggle")
    source = args.source if is_complete else str(Path(args.source).resolve())
    chosen = {f"corpora.{args.corpus}.source": source}
    chosen |= {f"corpora.{args.corpus}.name": args.name or Path(source.rstrip("/")).name.partition(".")[0]}
    own = parse(Path("params.yaml").read_text(encoding="utf-8"))["runs"]
    chosen |= dict(published(params, own, args.corpus)) | {"machine.threads": len(os.sched_getaffinity(0))}
    command = exp_run(chosen, *args.more)
    if args.apply:
        sys.exit(subprocess.run(command).returncode)
    print(shlex.join(command))


if __name__ == "__main__":
    exit_with_one_line(main)
