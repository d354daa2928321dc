"""Names of groups that mean one speaker, subject or person are merged, unless the split says otherwise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.errors import UserError
from stages.datasets.groups import merge_similar, plain_name, similar_groups
from stages.datasets.protocols import Metadata, group_disjoint
from stages.params.schema import Split

NAME = st.text(st.characters(codec="utf-8", categories=("L", "N", "P")), min_size=1, max_size=8)


def settings(**change: object) -> Split:
    values = {"seed": 7, "fold": 0, "validation_fraction": 0.1, "folds": 3, **change}
    return Split(protocol="group_disjoint", **values)


def metadata(group: list[str], kind: str = "speaker") -> Metadata:
    empty = np.array([""] * len(group))
    label = np.array(["happy", "sad"] * len(group))[: len(group)]
    return Metadata(label, empty, {}, np.array(group), kind, empty, np.full(len(group), -1))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Anna", "anna"),
        ("ANNA", "Anna "),
        ("01", "1"),
        ("S01", "s01"),
        ("S01", "S1"),
        ("007", "7"),
        ("1.0", "1"),
        ("anna", "\tanna"),
        ("Anna  Maria", "anna maria"),
        ("sub_02", "sub-2"),
        ("Zoe\u0308", "Zo\u00eb"),
        ("Ｓ１", "S1"),
        ("Straße", "STRASSE"),
        ("S1", "s-01"),
        ("sub_7", "Sub007"),
        ("speaker 3", "speaker3"),
    ],
)
def test_similar_names_are_one(one: str, other: str):
    assert plain_name(one) == plain_name(other)
    assert similar_groups([one, other, other, "ben"]) == [[other, one]]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1", "10"),
        ("S1", "S2"),
        ("anna", "hanna"),
        ("S1", "T1"),
        ("S100", "S10"),
        ("1_1", "11"),
        ("s1_1", "s11"),
        ("anna b", "annab"),
        ("0", "00a"),
        ("", ""),
    ],
)
def test_different_names_stay_apart(one: str, other: str):
    assert similar_groups([one, other]) == []


@given(NAME, st.integers(0, 3))
def test_case_blanks_and_zeros_do_not_matter(name: str, zeros: int):
    assert plain_name(f" {name.casefold()} ") == plain_name(name)
    assert plain_name(f"s{'0' * zeros}5") == "s5"
    assert plain_name(plain_name(name)) == plain_name(name)


def test_merged_groups_are_in_one_part(capsys: pytest.CaptureFixture[str]):
    names = [f"s{number}" for number in range(9)]
    group = [name.upper() if index % 3 == 0 else name for name in names for index in range(12)]
    merged, split, similar = merge_similar(metadata(group), settings(), "splits.own")
    assert similar == [[f"s{number}", f"S{number}"] for number in range(9)]
    assert merged.group.tolist() == [name.lower() for name in group]
    part, _ = group_disjoint(merged, split)
    assert all(len(set(part[merged.group == name])) == 1 for name in names)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 9
    assert "splits.own" in lines[0]
    assert "speakers 's0' and 'S0'" in lines[0]
    assert "merge_similar_groups" in lines[0]


def test_groups_stay_apart_if_the_split_says_so(capsys: pytest.CaptureFixture[str]):
    group = ["Anna", "anna", "01", "1", " "]
    kept, split, similar = merge_similar(metadata(group), settings(merge_similar_groups=False), "splits.own")
    assert kept.group.tolist() == ["Anna", "anna", "01", "1", ""]  # a blank name is no name
    assert similar == [["01", "1"], ["Anna", "anna"]]
    assert "kept apart" in capsys.readouterr().err
    assert split == settings(merge_similar_groups=False)


def test_names_that_differ_are_not_changed(capsys: pytest.CaptureFixture[str]):
    group = ["01", "02", "Anna", "Ben "]
    same, split, similar = merge_similar(metadata(group), settings(), "splits.own")
    assert (same.group.tolist(), split, similar) == (group, settings(), [])
    assert capsys.readouterr().err == ""


def test_test_groups_are_merged_too():
    group = ["Anna", "anna", "anna", "ben", "cleo", "dora"]
    listed = settings(folds=None, test_groups=[["Anna", "anna"], ["ben"]])
    _, split, _ = merge_similar(metadata(group), listed, "splits.own")
    assert split.test_groups == [["anna"], ["ben"]]
    twice = settings(folds=None, test_groups=[["Anna"], ["anna"]])
    with pytest.raises(UserError, match=r"splits\.own\.test_groups: one group in two folds; allowed: .* received: "):
        merge_similar(metadata(group), twice, "splits.own")
