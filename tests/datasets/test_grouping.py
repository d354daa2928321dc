"""By what a dataset's samples are told apart."""

import numpy as np
from small_store import pictures, write_store

from stages.datasets.grouping import groupings
from stages.datasets.store import Store


def test_speaker_and_gender_of_the_chosen_samples(tmp_path):
    with Store(write_store(tmp_path / "a.h5", pictures(8, 1, 4, 4))) as store:
        found = groupings(store, np.array([1, 3, 4]))
    assert found == {"speaker": ["speaker 1", "speaker 3", ""], "gender": ["male", "male", "female"]}


def test_what_tells_nothing_apart_is_left_out(tmp_path):
    with Store(write_store(tmp_path / "a.h5", pictures(8, 1, 4, 4))) as store:
        assert groupings(store, np.array([0, 2])) == {}  # no speaker known, one gender


def test_a_column_of_many_names_is_no_grouping(tmp_path):
    with Store(write_store(tmp_path / "a.h5", pictures(40, 1, 4, 4))) as store:
        store.extra = [{"file": str(number)} for number in range(40)]
        assert list(groupings(store, np.arange(40))) == ["speaker"]
