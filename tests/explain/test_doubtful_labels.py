"""Labels that are probably wrong: copies under several labels, and samples that all runs contradict."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages.evaluation import ensemble, predictions
from stages.evaluation.pictures.canvas import Caption
from stages.explain.doubtful_labels import Doubtful, conflicts, contradicted, draw

CLASSES = ["angry", "happy", "sad"]
LABEL_OF = {"a": "angry", "b": "happy", "c": "sad", "d": "sad", "e": "angry"}


def test_copies_of_the_audit_with_their_parts():
    audit = {"label_conflict_ids": [["a", "b"]], "near_label_conflict_ids": [["c", "e", "x"]]}
    parts = {"train": ["a", "d"], "validation": ["b"], "test": ["c"]}
    split = {"parts": parts, "audit": audit, "dropped": ["e"]}
    first, second = "copies are labelled angry and happy", "copies are labelled angry and sad"
    assert list(conflicts(split, LABEL_OF)) == [
        Doubtful(1, "a", "train", "angry", first),
        Doubtful(1, "b", "validation", "happy", first),
        Doubtful(2, "c", "test", "sad", second),
        Doubtful(2, "e", "dropped", "angry", second),
    ]


def test_sets_that_share_a_sample_are_one():
    audit = {"label_conflict_ids": [["a", "b"], ["c", "d"]], "near_label_conflict_ids": [["b", "a", "e"]]}
    found = list(conflicts({"parts": {"train": ["a"]}, "dropped": [], "audit": audit}, LABEL_OF))
    assert sorted((one.set_number, one.sample_id) for one in found) == [(1, "c"), (1, "d"), *[(2, x) for x in "abe"]]
    assert {one.part for one in found} == {"train", "unused"}


def members(folder: Path, *rows: list[list[float]]) -> dict[str, ensemble.Member]:
    """Return runs with these probabilities of the five samples, whose labels are all 'angry'."""
    origin = {"corpus": "faces", "name": "FER-2013", "source": "zip", "synthetic": False, "protocol": "official"}
    origin |= {"classes": CLASSES, "n_train": 100, "parameters": 10, "flops": 1000}
    for number, probabilities in enumerate(rows):
        columns = {
            "sample_id": np.array(list("abcde"), dtype=object),
            "part": np.array(["validation", "test", "test", "test", "test"], dtype=object),
            "label": np.zeros(5, dtype=int),
            "group": np.array([""] * 5, dtype=object),
            "probabilities": np.array(probabilities, dtype=np.float32),
        }
        predictions.write(folder / f"r{number}.h5", columns, {}, origin | {"run": f"r{number}"})
    return ensemble.read(folder, [f"r{number}" for number in range(len(rows))], "faces", "--runs")


ONE = [[0.1, 0.8, 0.1], [0.1, 0.9, 0.0], [0.9, 0.1, 0.0], [0.0, 1.0, 0.0], [0.1, 0.6, 0.3]]
OTHER = [[0.0, 0.9, 0.1], [0.0, 1.0, 0.0], [0.1, 0.9, 0.0], [0.0, 0.1, 0.9], [0.2, 0.6, 0.2]]


def test_samples_that_all_runs_contradict_the_surest_first(tmp_path: Path):
    """c is right in one run, in d the runs disagree, and of e they are not sure."""
    found = list(contradicted(members(tmp_path, ONE, OTHER), CLASSES, 0.8, first=3))
    assert found == [
        Doubtful(3, "b", "test", "angry", "all runs answer happy (0.95)"),
        Doubtful(4, "a", "validation", "angry", "all runs answer happy (0.85)"),
    ]
    assert [one.sample_id for one in contradicted(members(tmp_path, ONE, OTHER), CLASSES, 0.5, 1)] == ["b", "a", "e"]


@pytest.mark.parametrize("count", [1, 9])
def test_the_contact_sheet_has_every_image(tmp_path: Path, count: int):
    shown = [Doubtful(1, str(number), "test", "angry", "copies are labelled") for number in range(count)]
    images = {one.sample_id: np.full((8, 8), 37 + 20 * number, np.uint8) for number, one in enumerate(shown)}
    draw(tmp_path / "sheet.png", Caption("faces", "FER-2013", "official", count, synthetic=False), shown, images)
    grey = np.asarray(Image.open(tmp_path / "sheet.png").convert("L")).ravel()
    assert [
        number for number in range(count) if (np.abs(grey.astype(int) - (37 + 20 * number)) <= 2).sum() < 4000
    ] == []
