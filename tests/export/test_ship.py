"""The run that ships: its weights are rounded, its card has the figures of the record, other records are refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save
from sklearn.metrics import precision_recall_fscore_support
from small_runs import run_stage, small_run

from stages.apps import ship as app
from stages.core.errors import UserError
from stages.core.files import md5
from stages.core.weights import WEIGHTS as WEIGHTS_OF_OTHERS
from stages.datasets import novelty
from stages.datasets.splits import load_parts
from stages.datasets.store import Store
from stages.export import ship
from stages.serving.run_files import INFO, WEIGHTS, load_run
from stages.serving.served_run import ServedRun, serve
from stages.training.model_folder import TrainedModel

TARGET = Path("shipped")
LICENCE = "CC BY-NC-SA 4.0 (as its corpus)"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a small run whose model.json says that its faces are real, beside its data and split."""
    run = small_run("faces")
    monkeypatch.chdir(tmp_path)
    folder = Path(shutil.copytree(run.folder, "run"))
    shutil.copy(run.dataset, "faces.h5")
    with Store(Path("faces.h5")) as store:
        ids = list(store.sample_id)
    parts = {"train": ids[:2], "validation": ids[2:4], "test": ids[4:]}
    # test samples 4, 5 and 6 have duplicates in another part
    duplicates = [[ids[0], ids[4], ids[5]], [ids[3], ids[6]], [ids[7], ids[8]], [ids[0], ids[2]]]
    Path("split.json").write_text(json.dumps({"parts": parts, "audit": {"duplicate_ids": duplicates}}))
    info = json.loads((folder / INFO).read_text())
    inputs = {name: md5(Path(name)) for name in ("faces.h5", "split.json")}
    (folder / INFO).write_text(json.dumps(info | {"synthetic": False, "name": "FER-2013", "inputs": inputs}))
    return folder


@pytest.fixture
def model(folder: Path) -> TrainedModel:
    return load_run(str(folder))


def confusion(model: TrainedModel, first: int = 4) -> np.ndarray:
    """Return the confusion matrix of the samples from `first` on, by default the test part; rows are true classes."""
    with Store(Path("faces.h5")) as store:
        indices = np.arange(first, len(store.label))
        predicted = model.probabilities(torch.from_numpy(store.read_packed(indices))).argmax(1).numpy()
        counts = np.zeros((len(model.info["classes"]),) * 2, int)
        np.add.at(counts, (store.label[indices], predicted), 1)
    return counts


def write_record(counts: np.ndarray, **changes: object) -> Path:
    record = {
        "run": "faces_custom_cnn", "accuracy": counts.trace() / counts.sum(), "accuracy_ci95": [0.1, 0.21],
        "balanced_accuracy": 0.123, "f1_macro": 0.05, "confusion": counts.tolist(), "n_test": int(counts.sum()),
        "data": "some.zip (12 train)", "protocol": "official", "seeds": [7], "folds": [0], "date": "2026-01-02",
        "hardware": "a processor", "commit": "0123456789", "command": "dvc exp run -S seed=7",
    }  # fmt: skip
    Path("record.json").write_text(json.dumps(record | changes))
    return Path("record.json")


def test_ships_rounded_weights_with_almost_equal_predictions(folder: Path, model: TrainedModel):
    shipped = ship.ship(model, write_record(confusion(model)), TARGET, LICENCE)
    assert shipped == TARGET / "faces_custom_cnn"
    before, after = load_file(folder / WEIGHTS), load_file(shipped / WEIGHTS)
    for name, values in before.items():
        half = values.numpy().astype(np.float16) if values.is_floating_point() else values.numpy()
        assert np.array_equal(after[name].numpy(), half)
        assert after[name].numpy().dtype == half.dtype
    image = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
    rounded, original = serve(str(shipped)), serve(str(folder))
    prepared = [original.prepare(image)]
    assert rounded.probabilities(prepared) == pytest.approx(original.probabilities(prepared), abs=0.005)
    assert rounded.info == original.info | {"licence": LICENCE}


def test_card_has_the_figures_of_the_record(model: TrainedModel):
    counts, others = confusion(model), confusion(model, 7)  # without samples 4, 5 and 6
    classes = model.info["classes"]
    card = (ship.ship(model, write_record(counts), TARGET, LICENCE) / ship.CARD).read_text()
    assert f"**{100 * counts.trace() / counts.sum():.1f} %**, 95 % interval 10.0 to 21.0, {counts.sum()} faces" in card
    for words in ("dvc exp run -S seed=7", "`metrics/reference/record.json`, commit 0123456", "some.zip"):
        assert words in card
    [row] = [line for line in card.splitlines() if line.startswith("| exact duplicates |")]
    assert "| 3 of" in row
    assert f" {100 * others.trace() / others.sum():.1f} %" in row
    for words in ("hiring", "policing", "diagnosis", "not feelings"):
        assert words in card
    true, predicted = (np.repeat(index, counts.ravel()) for index in np.indices(counts.shape).reshape(2, -1))
    columns = precision_recall_fscore_support(true, predicted, labels=range(7), zero_division=np.nan)
    for name, precision, recall, _, n in zip(classes, *columns, strict=True):
        precise = "–" if np.isnan(precision) else f"{100 * precision:.0f} %"
        assert f"| {name} | {100 * recall:.0f} % | {precise} | {n} |" in card


@pytest.mark.parametrize("tta_views", [1, 2])
def test_card_has_the_accuracy_without_test_time_augmentation(model: TrainedModel, tta_views: int):
    """This network gives the same predictions with one crop."""
    model.recogniser.architecture.tta_views = tta_views
    model.info["model"]["tta_views"] = tta_views
    counts = confusion(model)
    card = (ship.ship(model, write_record(counts), TARGET, LICENCE) / ship.CARD).read_text()
    rows = [line for line in card.splitlines() if "test-time augmentation" in line and line.startswith("|")]
    assert len(rows) == (tta_views == 2)
    assert all(f"{100 * counts.trace() / counts.sum():.1f} %" in row for row in rows)
    assert model.recogniser.architecture.tta_views == 1


@pytest.mark.parametrize("changes", [{"run": "faces_compact"}, {"accuracy": 0.9}])
def test_refuses_a_record_of_other_weights(model: TrainedModel, changes: dict):
    with pytest.raises(UserError, match="the record of other weights"):
        ship.ship(model, write_record(confusion(model), **changes), TARGET, LICENCE)
    assert not TARGET.exists()


@pytest.mark.parametrize("name", ["missing", "search"])
def test_refuses_a_missing_record_and_one_of_something_else(model: TrainedModel, tmp_path: Path, name: str):
    Path("records").mkdir()
    Path("records/search.json").write_text("{}")
    write_record(np.eye(7, dtype=int)).rename("records/record.json")
    with pytest.raises(UserError, match="not the record of one run; allowed: record; received"):
        ship.ship(model, Path(f"records/{name}.json"), TARGET, LICENCE)


def test_refuses_a_run_on_a_synthetic_corpus():
    with pytest.raises(UserError, match="a synthetic corpus gives no reference"):
        run_stage(app, "--run", small_run("faces").folder, "--record", "any", "--licence", LICENCE)


def test_ships_one_run_only(model: TrainedModel, monkeypatch: pytest.MonkeyPatch):
    record = write_record(np.eye(7, dtype=int))
    monkeypatch.setattr(ship, "evaluate", lambda *_: ship.Evaluation(1.0, 1.0, 0, 1.0, None))
    for _ in range(2):  # the second time it replaces itself
        ship.ship(model, record, TARGET, LICENCE)
    (TARGET / "faces_custom_cnn").rename(TARGET / "other")
    with pytest.raises(
        UserError, match=r"another run ships; allowed: one of kind image: remove its folder; received: \['other'\]"
    ):
        ship.ship(model, record, TARGET, LICENCE)


def test_weights_too_large_for_float16_are_stored_in_int8(
    model: TrainedModel, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    counts, state = confusion(model), load_file(folder / WEIGHTS)
    half = len(save({name: values.half() for name, values in state.items()}))
    monkeypatch.setattr(ship, "MAX_BYTES", half - 1000)
    shipped = ship.ship(model, write_record(counts), TARGET, LICENCE)
    stored, after = load_file(shipped / WEIGHTS), load_run(str(shipped)).recogniser.architecture.state_dict()
    for name, values in state.items():
        if values.ndim < 2:
            torch.testing.assert_close(after[name], values, rtol=1e-3, atol=1e-6)
            continue
        assert stored[name].dtype == torch.int8
        largest = values.flatten(1).abs().amax(1)
        assert ((after[name] - values).flatten(1).abs().amax(1) <= 0.501 * largest / 127 + 1e-9).all()
    card = (shipped / ship.CARD).read_text()
    assert "stored in int8" in card
    assert "rounded to int8" in card


def test_refuses_large_weights(model: TrainedModel, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ship, "MAX_BYTES", 1000)
    with pytest.raises(UserError, match=r"too large to ship.*allowed: 1,000 bytes; received: '[0-9,]+ bytes in int8'"):
        ship.ship(model, write_record(confusion(model)), TARGET, LICENCE)


def test_refuses_a_run_without_its_data(model: TrainedModel):
    Path("faces.h5").unlink()
    with pytest.raises(UserError, match="prepared data are here"):
        ship.ship(model, write_record(np.eye(7, dtype=int)), TARGET, LICENCE)


def test_a_licence_without_commercial_use_is_shown_first(
    model: TrainedModel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    folder = ship.ship(model, write_record(confusion(model)), TARGET, LICENCE)
    assert f"| licence of the weights | {LICENCE} |" in (folder / ship.CARD).read_text()
    serve(str(folder))
    assert capsys.readouterr().err == f"warning: faces_custom_cnn: not for commercial use: {LICENCE}\n"


@pytest.mark.parametrize(
    ("feature", "network", "names"),
    [
        ("faces", {"name": "compact_resnet"}, []),
        ("faces", {"name": "face_mobilenet", "pretrained": "faceres-deep.bin"}, ["faceres-deep"]),
        ("faces", {"name": "dual_attention", "backbone": "mobilenet_v2", "pretrained": "imagenet"}, ["mobilenet_v2"]),
        ("faces", {"name": "dual_attention", "backbone": "mobilenet_v2", "pretrained": "none"}, []),
        ("mel", {"name": "ge2e", "pretrained": "ge2e"}, ["ge2e"]),
        ("mel", {"name": "adafnn", "use_embedding": True}, ["ge2e"]),
        ("speaker_embedding", {"name": "mlp"}, ["ge2e"]),
    ],
)
def test_card_names_the_weights_that_a_run_is_derived_from(feature: str, network: dict, names: list[str]):
    info = {"feature": {"name": feature}, "model": network}
    assert ship.pretrained_parts(info) == [WEIGHTS_OF_OTHERS[name] for name in names]


def test_the_test_part_is_not_unlike_the_training_data(model: TrainedModel, monkeypatch: pytest.MonkeyPatch):
    """A threshold below the distances of all test samples is raised to their 99 % quantile, times the margin."""
    n = novelty.n_statistics(model.info["input"]["shape"], model.info["input"]["layout"])
    ood = {"method": novelty.METHOD, "mean": [0.0] * n, "precision": np.eye(n).tolist(), "threshold": 1e-6}
    with_ood = TrainedModel(model.recogniser, model.info | {"ood": ood})
    served = ServedRun(with_ood)
    data = ship.evaluation_data(model)
    with Store(data.dataset) as store:
        test = load_parts(data.split, store.sample_id)["test"]
        layout = model.info["input"]["layout"]
        rows = [novelty.statistics(served.standardised((x, 0)), 0, layout) for x in store.read_packed(test)]
    expected = 1.1 * np.quantile(np.linalg.norm(rows, axis=1), 0.99)
    assert ship.calibrated(with_ood)["threshold"] == pytest.approx(expected, rel=1e-6)
    ood["threshold"] = 1e6
    assert ship.calibrated(with_ood)["threshold"] == 1e6
