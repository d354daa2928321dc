"""What is shipped are the run's own weights, rounded, under a card whose figures are the record's."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import precision_recall_fscore_support
from small_runs import small_run

from stages.apps import ship
from stages.apps.run_files import INFO, WEIGHTS, load_run
from stages.apps.serving import serve
from stages.core.errors import UserError
from stages.core.files import md5
from stages.datasets.store import Store


@pytest.fixture
def real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small run that says it is of real faces, beside the data and the split it is judged on."""
    found = small_run("faces")
    monkeypatch.chdir(tmp_path)
    folder = Path(shutil.copytree(found.folder, "run"))
    shutil.copy(found.dataset, "faces.h5")
    with Store(Path("faces.h5")) as store:
        ids = list(store.sample_id)
    parts = {"train": ids[:2], "validation": ids[2:4], "test": ids[4:]}
    same = [
        [ids[0], ids[4], ids[5]],
        [ids[3], ids[6]],
        [ids[7], ids[8]],
        [ids[0], ids[2]],
    ]  # three test samples elsewhere
    Path("split.json").write_text(json.dumps({"parts": parts, "audit": {"duplicate_ids": same}}))
    info = json.loads((folder / INFO).read_text())
    inputs = {name: md5(Path(name)) for name in ("faces.h5", "split.json")}
    (folder / INFO).write_text(json.dumps(info | {"synthetic": False, "name": "FER-2013", "inputs": inputs}))
    return folder


def confusion(folder: Path, first: int = 4) -> np.ndarray:
    """Rows of true classes, of the test part, or of its samples from `first` on."""
    model = load_run(str(folder))
    with Store(Path("faces.h5")) as store:
        at = np.arange(first, len(store.label))
        answers = model.probabilities(torch.from_numpy(store.read_packed(at))).argmax(1).numpy()
        found = np.zeros((len(model.info["classes"]),) * 2, int)
        np.add.at(found, (store.label[at], answers), 1)
    return found


def record(found: np.ndarray, **changed: object) -> Path:
    told = {
        "run": "faces_custom_cnn", "accuracy": found.trace() / found.sum(), "accuracy_ci95": [0.1, 0.21],
        "balanced_accuracy": 0.123, "f1_macro": 0.05, "confusion": found.tolist(), "n_test": int(found.sum()),
        "data": "some.zip (12 train)", "protocol": "official", "seeds": [7], "date": "2026-01-02",
        "hardware": "a processor", "commit": "0123456789", "command": "dvc exp run -S seed=7",
    }  # fmt: skip
    Path("record.json").write_text(json.dumps(told | changed))
    return Path("record.json")


def test_rounded_weights_answer_alike(real: Path):
    folder = ship.ship(str(real), record(confusion(real)), Path("shipped"))
    assert folder == Path("shipped/faces_custom_cnn")
    before, after = load_file(real / WEIGHTS), load_file(folder / WEIGHTS)
    for name, values in before.items():
        half = values.numpy().astype(np.float16) if values.is_floating_point() else values.numpy()
        assert np.array_equal(after[name].numpy(), half)
        assert after[name].numpy().dtype == half.dtype
    image = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
    one, other = serve(str(folder)), serve(str(real))
    assert one.probabilities([one.prepare(image)]) == pytest.approx(
        other.probabilities([other.prepare(image)]), abs=0.005
    )
    assert one.info == other.info


def test_card_tells_the_record(real: Path):
    found = confusion(real)
    card = (ship.ship(str(real), record(found), Path("shipped")) / ship.CARD).read_text()
    assert f"**{100 * found.trace() / found.sum():.1f} %**, 95 % interval 10.0 to 21.0, {found.sum()} faces" in card
    for word in ("dvc exp run -S seed=7", "`metrics/reference/record.json`, commit 0123456", "some.zip"):
        assert word in card
    others = confusion(real, 7)  # without 4, 5 and 6
    share = 100 * others.trace() / others.sum()
    assert "| twins | 3 of them are, to the byte, among the faces it learnt from" in card
    assert f"on all others {share:.1f} % |" in card
    for word in ("hiring", "policing", "diagnosis", "not feelings"):
        assert word in card
    true, said = (np.repeat(index, found.ravel()) for index in np.indices(found.shape).reshape(2, -1))
    shares = precision_recall_fscore_support(true, said, labels=range(7), zero_division=np.nan)
    for name, precision, recall, _, n in zip(load_run(str(real)).info["classes"], *shares, strict=True):
        precise = "–" if np.isnan(precision) else f"{100 * precision:.0f} %"
        assert f"| {name} | {100 * recall:.0f} % | {precise} | {n} |" in card


@pytest.mark.parametrize("views", [1, 2])
def test_card_tells_what_one_view_is_worth(real: Path, monkeypatch: pytest.MonkeyPatch, views: int):
    model = load_run(str(real))
    model.recogniser.architecture.views = views  # this network answers alike by one
    model.info["model"]["views"] = views
    monkeypatch.setattr(ship, "load_run", lambda _: model)
    card = (ship.ship(str(real), record(confusion(real)), Path("shipped")) / ship.CARD).read_text()
    judged = ship.judge(model, model.recogniser.architecture.state_dict())
    line = f"in place of the mean of 2 | {100 * judged.after:.1f} % on the same faces"
    assert (line in card) == (views == 2)
    assert model.recogniser.architecture.views == 1


@pytest.mark.parametrize(
    ("changed", "words"),
    [({"run": "faces_compact"}, "received: .faces_compact"), ({"accuracy": 0.9}, r"received: .* 0\.9000")],
)
def test_record_of_other_weights(real: Path, changed: dict, words: str):
    with pytest.raises(UserError, match=f"the record of other weights.*{words}"):
        ship.ship(str(real), record(confusion(real), **changed), Path("shipped"))
    assert not Path("shipped").exists()


def test_records_that_are_none(real: Path):
    for path, words in ((Path("no.json"), "no such record"), (record(confusion(real)), "not the record of one run")):
        if path.is_file():
            path.write_text("{}")
        with pytest.raises(UserError, match=words):
            ship.ship(str(real), path, Path("shipped"))


def test_drawn_faces_do_not_ship(real: Path):
    with pytest.raises(UserError, match="a synthetic corpus gives no reference"):
        ship.ship(str(small_run("faces").folder), record(confusion(real)), Path("shipped"))


def test_only_one_ships(real: Path):
    path = record(confusion(real))
    ship.ship(str(real), path, Path("shipped"))
    ship.ship(str(real), path, Path("shipped"))  # itself again
    shutil.move("shipped/faces_custom_cnn", "shipped/other")
    with pytest.raises(UserError, match=r"another run ships; allowed: one: remove its folder; received: \['other'\]"):
        ship.ship(str(real), path, Path("shipped"))


def test_too_large(real: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ship, "MAX_BYTES", 1000)
    with pytest.raises(UserError, match=r"too large to ship.*allowed: 1,000 bytes"):
        ship.ship(str(real), record(confusion(real)), Path("shipped"))


def test_without_its_data(real: Path):
    Path("faces.h5").unlink()
    with pytest.raises(UserError, match="prepared data are here"):
        ship.ship(str(real), record(np.eye(7, dtype=int)), Path("shipped"))
