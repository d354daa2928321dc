"""Names of one electrode are equal, names of different channels are not."""

import pytest

from stages.core.electrodes import electrode, is_position, matches


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (
            [
                "Fp1",
                "FP1",
                "fp1",
                "EEG Fp1",
                "EEG FP1-Ref",
                "Fp1-A2",
                "Fp1-M2",
                "Fp1.",
                "Fp1 - LE",
                "POL Fp1",
                "Fp1_AVG",
            ],
            "fp1",
        ),
        (["T3", "T7", "EEG T3-A1", "t7-REF"], "t7"),
        (["Cz", "CZ", "EEG Cz-A1A2", "Cz-(A1+A2)/2", "Cz.."], "cz"),
        (["T6-M1", "P8"], "p8"),
        (["A2-A1", "EEG A2-A1"], "a2-a1"),
        (["Fp1-F7"], "fp1-f7"),
        (["EXG1"], "exg1"),
    ],
)
def test_names_of_one_electrode(names: list[str], expected: str):
    assert {electrode(name) for name in names} == {expected}


@pytest.mark.parametrize("name", ["Fp1", "AFz", "FC5", "CPz", "PO7", "EEG O2-Ref", "T3", "Iz", "CB1", "AFF5h"])
def test_positions(name: str):
    assert is_position(name)


@pytest.mark.parametrize("name", ["Light", "E12", "X1", "Fp1-F7", "A2-A1", "Status", ""])
def test_other_channels(name: str):
    assert not is_position(name)


def test_exact_names_come_first():
    assert matches("Fp1", ["FP1", "Fp1", "Fp1-A2"]) == ["Fp1"]
    assert matches("fp1", ["FP1", "Fp1-A2", "Cz"]) == ["FP1", "Fp1-A2"]
    assert matches("Oz", ["FP1"]) == []
