"""The synthetic corpus has the layout of RAVDESS."""

import re
import wave
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from stages.core.errors import UserError
from stages.synthetic.speech.corpus import choose_clips, write_corpus

NAME = re.compile(r"Actor_(\d\d)/03-01-(0[1-8])-(0[12])-(0[12])-(0[12])-(\d\d)\.wav")


def write(folder: Path, size: int, seed: int = 7) -> dict[str, bytes]:
    write_corpus(folder, size=size, seed=seed)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_names_follow_ravdess_with_the_actor_of_the_folder(tmp_path):
    names = list(write(tmp_path, 26))
    matches = [NAME.fullmatch(name) for name in names]
    assert all(matches)
    assert all(match[1] == match[6] for match in matches)
    assert Counter(match[1] for match in matches) == {"01": 13, "02": 13}  # at least 12 clips an actor


def test_files_are_16_bit_mono_at_16_khz(tmp_path):
    for name in write(tmp_path, 8):
        with wave.open(str(tmp_path / name)) as stream:
            assert (stream.getnchannels(), stream.getsampwidth(), stream.getframerate()) == (1, 2, 16_000)
            samples = np.frombuffer(stream.readframes(stream.getnframes()), "<i2")
        assert 1.2 < len(samples) / 16_000 < 2.7
        assert 300 < np.abs(samples.astype(int)).max() < 32_000


def test_files_depend_on_seed_and_name_only(tmp_path):
    small, large, other = (
        write(tmp_path / str(i), size, seed) for i, (size, seed) in enumerate([(8, 7), (20, 7), (8, 8)])
    )
    assert small.keys() < large.keys()
    assert all(large[name] == content for name, content in small.items())
    assert all(other[name] != small[name] for name in other.keys() & small.keys())
    assert len(set(large.values())) == 20


def test_all_clips_of_an_actor_equal_ravdess():
    clips = choose_clips(3, 60, seed=7)
    assert len(set(clips)) == 60
    assert Counter(clip.emotion for clip in clips) == {1: 4, **dict.fromkeys(range(2, 9), 8)}
    assert {clip.intensity for clip in clips if clip.emotion == 1} == {1}
    for trait in ("statement", "repetition"):
        assert Counter(getattr(clip, trait) for clip in clips) == {1: 30, 2: 30}


@pytest.mark.parametrize("actor", range(1, 25))
def test_half_of_the_clips_keeps_all_proportions(actor):
    clips = choose_clips(actor, 30, seed=7)
    assert Counter(clip.emotion for clip in clips) == {1: 2, **dict.fromkeys(range(2, 9), 4)}
    assert Counter(clip.statement for clip in clips) == {1: 15, 2: 15}
    assert Counter(clip.intensity for clip in clips) == {1: 16, 2: 14}


def test_smallest_choice_has_every_emotion_and_depends_on_the_seed():
    for actor in range(1, 25):
        assert {clip.emotion for clip in choose_clips(actor, 12, seed=7)} == set(range(1, 9))
    assert choose_clips(1, 30, seed=7) != choose_clips(1, 30, seed=8)


def test_rejects_more_clips_than_ravdess_has(tmp_path):
    with pytest.raises(UserError, match=r"synthetic\.size: .*allowed: 1 to 1440 .*received: 1441"):
        write_corpus(tmp_path, size=1441, seed=7)
