"""EmoDB: speakers, emotions and numbers as its documentation and papers on it give them."""

from collections import Counter
from itertools import product
from pathlib import Path

import pytest
from archive_forms import one_line
from speech_forms import check_doubled, check_wrappings, corpus, seen, whole

from stages.corpora import emodb

# The documentation: "03 - male, 31 years old; 08 - female, 34 years; …"
MALE, FEMALE = ("03", "10", "11", "12", "15"), ("08", "09", "13", "14", "16")
TEXTS = ("a01", "a02", "a04", "a05", "a07", "b01", "b02", "b03", "b09", "b10")
# Utterances per emotion, by the letter of its German name (Ärger is written W, for Wut)
COUNTS = {"W": 127, "L": 81, "E": 46, "A": 69, "F": 71, "T": 62, "N": 79}
LABELS = {"W": "angry", "L": "boredom", "E": "disgust", "A": "fear", "F": "happy", "T": "sad", "N": "neutral"}


def all_names() -> list[str]:
    utterances = list(product("ab", MALE + FEMALE, TEXTS))
    return [
        f"wav/{speaker}{text}{letter}{version}.wav"
        for letter, count in COUNTS.items()
        for version, speaker, text in utterances[:count]
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("03a01Fa", ("happy", "03", "male")),  # the documentation's example: Freude
        ("16b10Wb", ("angry", "16", "female")),
        ("12a02Ec", ("disgust", "12", "male")),
        ("08b09Tb", ("sad", "08", "female")),
        ("14a07La", ("boredom", "14", "female")),
        ("11a02Ac", ("fear", "11", "male")),
        ("09a05N", ("neutral", "09", "female")),
    ],
)
def test_names(tmp_path: Path, name: str, expected: tuple[str, str, str]):
    label, speaker, gender = expected
    assert seen(emodb, corpus(tmp_path, [f"wav/{name}.wav"])) == [(name, label, speaker, {"gender": gender})]


def test_wrappings_change_nothing(tmp_path: Path):
    check_wrappings(emodb, tmp_path, all_names()[::31])


def test_copies_are_read_once(tmp_path: Path):
    check_doubled(emodb, tmp_path, "emodb/wav/03a01Fa.wav", "wav/03a01fa.WAV")


def test_whole_corpus(tmp_path: Path):
    found = whole(emodb, tmp_path, [*all_names(), "db.yaml", "db.emotion.csv", "erkennung.txt"])
    assert len(found) == 535
    assert emodb.missing({None: len(found)}) == ""
    assert Counter(label for _, label, _, _ in found) == {LABELS[letter]: n for letter, n in COUNTS.items()}
    genders = {group: extra["gender"] for _, _, group, extra in found}
    assert genders == dict.fromkeys(MALE, "male") | dict.fromkeys(FEMALE, "female")


def test_missing():
    assert emodb.missing({None: 534}) == "not the whole of EmoDB (534 of 535 clips)"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("wav/03a01Xa.wav", ["unknown emotion code", "allowed: W, L, E, A, F, T, N;", "'X'"]),
        ("wav/07a01Fa.wav", ["unknown speaker code", "allowed: 03, 08, 09", "'07'"]),
        ("wav/3a01Fa.wav", ["not a clip of reader 'emodb'; allowed: wav/03a01Fa.wav"]),
        ("wav/DC_a01.wav", ["not a clip of reader 'emodb', but of reader 'savee'"]),
    ],
)
def test_one_odd_clip_is_refused(tmp_path: Path, name: str, words: list[str]):
    archive = corpus(tmp_path, ["wav/03a01Fa.wav", name])
    one_line(lambda: emodb.read(archive), f"{archive}: {name}: ", *words)


def test_other_layout(tmp_path: Path):
    archive = corpus(tmp_path, ["Actor_07/03-01-05-01-02-01-07.wav"])
    one_line(lambda: emodb.read(archive), "not the layout of reader 'emodb', but of reader 'ravdess'")
