"""SAVEE as published (a folder a speaker) and as Kaggle has it (all in one)."""

from collections import Counter
from pathlib import Path

import pytest
from archive_forms import one_line
from speech_forms import check_doubled, check_wrappings, corpus, seen, whole

from stages.corpora import savee

SPEAKERS = ("DC", "JE", "JK", "KL")
# Its Info.txt: 'a', 'd', 'f', 'h', 'n', 'sa' and 'su' are anger, disgust, fear, happiness, neutral, sadness, surprise
LABELS = {"a": "angry", "d": "disgust", "f": "fear", "h": "happy", "n": "neutral", "sa": "sad", "su": "surprise"}


def all_names(pattern: str) -> list[str]:
    """15 sentences an emotion, 30 neutral."""
    return [
        pattern.format(speaker, code, number)
        for speaker in SPEAKERS
        for code in LABELS
        for number in range(1, 31 if code == "n" else 16)
    ]


@pytest.mark.parametrize(
    "pattern", ["ALL/{}_{}{:02d}.wav", "AudioData/{}/{}{:02d}.wav", "savee/{0}/{0}_{1}{2:02d}.wav"]
)
@pytest.mark.parametrize(("code", "label"), LABELS.items())
def test_layouts(tmp_path: Path, pattern: str, code: str, label: str):
    found = seen(savee, corpus(tmp_path, [pattern.format("JK", code, 3)]))
    assert found == [(f"JK_{code}03", label, "JK", {"gender": "male"})]


@pytest.mark.parametrize("pattern", ["ALL/{}_{}{:02d}.wav", "AudioData/{}/{}{:02d}.wav"])
def test_wrappings_change_nothing(tmp_path: Path, pattern: str):
    check_wrappings(savee, tmp_path, all_names(pattern)[::37])


def test_both_layouts_at_once_are_read_once(tmp_path: Path):
    check_doubled(savee, tmp_path, "ALL/DC_a01.wav", "AudioData/DC/a01.wav")


@pytest.mark.parametrize("pattern", ["ALL/{}_{}{:02d}.wav", "AudioData/{}/{}{:02d}.wav"])
def test_whole_corpus(tmp_path: Path, pattern: str):
    found = whole(savee, tmp_path, [*all_names(pattern), "AudioData/Info.txt"])
    assert len(found) == 480
    assert savee.missing({None: len(found)}) == ""
    assert Counter(label for _, label, _, _ in found) == dict.fromkeys(LABELS.values(), 60) | {"neutral": 120}
    assert Counter(group for _, _, group, _ in found) == dict.fromkeys(SPEAKERS, 120)


def test_missing():
    assert savee.missing({None: 120}) == "not the whole of SAVEE (120 of 480 clips)"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ALL/DC_x01.wav", ["unknown emotion code", "allowed: a, d, f, h, n, sa, su", "'x'"]),
        ("ALL/MM_a01.wav", ["unknown speaker code", "allowed: DC, JE, JK, KL", "'MM'"]),
        ("ALL/a01.wav", ["not a clip of reader 'savee'; allowed: ALL/DC_a01.wav or DC/a01.wav"]),
        ("ALL/03a01Fa.wav", ["not a clip of reader 'savee', but of reader 'emodb'"]),
    ],
)
def test_one_odd_clip_is_refused(tmp_path: Path, name: str, words: list[str]):
    archive = corpus(tmp_path, ["ALL/DC_a01.wav", name])
    one_line(lambda: savee.read(archive), f"{archive}: {name}: ", *words)


def test_other_layout(tmp_path: Path):
    archive = corpus(tmp_path, ["OAF_angry/OAF_back_angry.wav"])
    one_line(lambda: savee.read(archive), "not the layout of reader 'savee', but of reader 'tess'")
