"""Distillations in params.yaml: what they may name, and runs on their datasets."""

from pathlib import Path
from typing import Any

import pytest
from small_params import MISSING, SMALL, assert_mistake, changed, write

from stages.checks import params

FACES, RUN = SMALL["datasets"]["faces"], SMALL["runs"]["faces_custom_cnn"]
TAUGHT = {"corpus": "faces", "dataset": "faces", "teacher": "faces_custom_cnn", "teacher_dataset": "faces"}
TAUGHT |= {"weight": 0.5, "temperature": 2.0}
STUDENT = {"distillations.taught": TAUGHT, "runs.student": RUN | {"dataset": "taught"}}
SECOND = {"distillations.twice": TAUGHT | {"dataset": "taught"}, "runs.second": RUN | {"dataset": "twice"}}
LARGE = {"datasets.large": FACES | {"feature": {"name": "faces", "size_px": 96, "color": "gray"}}}
OTHERS = {"corpora.others": SMALL["corpora"]["faces"], "splits.others": SMALL["splits"]["faces"]}
OTHERS |= {"datasets.others": FACES | {"corpus": "others"}}
PLACE = "distillations.taught"

MISTAKES = {
    "unknown teacher": ({f"{PLACE}.teacher": "faces_cnn"}, f"{PLACE}.teacher", "unknown name", "'faces_custom_cnn'"),
    "unknown dataset": ({f"{PLACE}.dataset": "face"}, f"{PLACE}.dataset", "unknown name", "'faces'"),
    "no text": ({f"{PLACE}.dataset": [1]}, f"{PLACE}.dataset", "text"),
    "unknown corpus": ({f"{PLACE}.corpus": "face"}, f"{PLACE}.corpus", "'faces', its dataset's", "'face'"),
    "other dataset of the teacher": (
        {**LARGE, f"{PLACE}.teacher_dataset": "large"},
        f"{PLACE}.teacher_dataset",
        "'faces', its teacher's",
        "received: 'large'",
    ),
    "other corpus": (
        {**OTHERS, f"{PLACE}.dataset": "others", "runs.student.corpus": "others"},
        f"{PLACE}.corpus",
        "'others', its dataset's",
        "received: 'faces'",
    ),
    "teacher on another corpus": (
        {**OTHERS, f"{PLACE}.dataset": "others", f"{PLACE}.corpus": "others", "runs.student.corpus": "others"},
        f"{PLACE}.teacher",
        "a run on 'others'",
        "received: 'faces_custom_cnn', on 'faces'",
    ),
    "name of a dataset": ({"distillations.faces": TAUGHT}, "distillations.faces", "a name that no dataset has"),
    "its own teacher": (
        {f"{PLACE}.teacher": "student", f"{PLACE}.teacher_dataset": "taught"}, PLACE, "it needs itself"),
    "weight 0": ({f"{PLACE}.weight": 0.0}, f"{PLACE}.weight", "more than 0"),
    "weight over 1": ({f"{PLACE}.weight": 1.5}, f"{PLACE}.weight", "1 or less"),
    "temperature 0": ({f"{PLACE}.temperature": 0.0}, f"{PLACE}.temperature", "0.1 or more"),
    "no weight": ({f"{PLACE}.weight": MISSING}, f"{PLACE}.weight", "missing"),
    "run on an unknown one": ({"runs.student.dataset": "taugth"}, "runs.student.dataset", "'taught'"),
    "model for other samples": ({"runs.student.model": {"name": "adafnn"}, "runs.student.augmentation": None},
                                "runs.student.model.name", "'faces'"),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "place", "parts"), [(m[0], m[1], m[2:]) for m in MISTAKES.values()], ids=MISTAKES)
def test_mistake_is_one_line(tmp_path: Path, changes: dict[str, Any], place: str, parts: tuple[str, ...]):
    assert_mistake(tmp_path, changed(**STUDENT | changes), place, *parts)


def test_a_circle_of_two_is_told(tmp_path: Path):
    circle = {f"{PLACE}.teacher": "second", f"{PLACE}.teacher_dataset": "twice"}
    with pytest.raises(params.UserError) as caught:
        params.load(write(tmp_path, changed(**STUDENT | SECOND | circle)))
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[1] for line in lines] == [PLACE, "distillations.twice"]
    assert all("it needs itself" in line for line in lines)


def test_a_distillation_of_a_distillation_is_valid(tmp_path: Path):
    valid = params.load(write(tmp_path, changed(**STUDENT | SECOND)))
    assert [valid.prepared(name) for name in ("faces", "taught", "twice")] == ["faces"] * 3


def test_a_long_chain_is_checked_at_once(tmp_path: Path):
    chain, run = {}, "faces_custom_cnn"
    for number in range(40):
        before = f"d{number - 1}" if number else "faces"
        chain[f"distillations.d{number}"] = TAUGHT | {"dataset": before, "teacher": run, "teacher_dataset": before}
        run = f"r{number}"
        chain[f"runs.{run}"] = RUN | {"dataset": f"d{number}"}
    assert params.load(write(tmp_path, changed(**chain))).prepared("d39") == "faces"
