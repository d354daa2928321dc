"""ensemble@<name>: mix the predictions of several runs, and evaluate the mixture once on the test part."""

from stages.checks.params import load
from stages.core.command import arguments, item
from stages.core.errors import exit_with_one_line
from stages.core.files import write_json
from stages.evaluation import ensemble
from stages.evaluation.metrics import compute_metrics
from stages.evaluation.pictures import gallery


def main() -> None:
    args = arguments(__doc__, "predictions", "metrics", "plots")
    params = load(args.params)
    settings, where = item(params.ensembles, args.key, "ensembles"), f"ensembles.{args.key}"
    members = ensemble.read(args.predictions, settings.members, settings.corpus, where)
    weights, temperature = fitted = ensemble.fit(members, settings.weights, where)
    columns = ensemble.combined(members, fitted)
    origin = ensemble.origin(args.key, members)
    is_test, names = columns["part"] == "test", members[settings.members[0]].groupings
    test = {name: values[is_test] for name, values in columns.items()}
    groups = {kind: values[is_test].tolist() for kind, values in names.items() if len({*values[is_test]} - {""}) > 1}
    content = test["label"], test["probabilities"], groups, origin["classes"]
    metrics = compute_metrics(*content, params.seed, temperature)
    compared = ensemble.compared(columns, members, params.seed)
    mixed = {"weights": [[name, weight] for name, weight in weights.items()], "members": compared}
    described = {name: value for name, value in origin.items() if name != "classes"}
    write_json(args.metrics, described | metrics | mixed)
    gallery.draw(args.plots, test, metrics, origin)
    best = compared[0]
    gain = f"{100 * best['gain']:+.1f} points to {best['run']}, p = {best['mcnemar_p']:.2g}"
    print(f"{args.key}: test accuracy {metrics['accuracy']:.4f} ({gain})")


if __name__ == "__main__":
    exit_with_one_line(main)
