"""TESS: two speakers, its one misspelled name, and Kaggle's second copy a folder further down."""

from collections import Counter
from pathlib import Path

import pytest
from archive_forms import one_line
from speech_forms import check_doubled, check_wrappings, corpus, seen, whole

from stages.corpora import tess

CODES = ("angry", "disgust", "fear", "happy", "neutral", "ps", "sad")
# Folders as Kaggle spells them, speaker by speaker
FOLDERS = {
    "OAF": ("angry", "disgust", "Fear", "happy", "neutral", "Pleasant_surprise", "Sad"),
    "YAF": ("angry", "disgust", "fear", "happy", "neutral", "pleasant_surprised", "sad"),
}
KAGGLE = "TESS Toronto emotional speech set data/"


def all_names() -> list[str]:
    """200 words, here of two letters, in each emotion and by each speaker."""
    words = [f"{chr(97 + number // 26)}{chr(97 + number % 26)}" for number in range(200)]
    return [
        f"{KAGGLE}{speaker}_{folder}/{speaker}_{word}_{code}.wav"
        for speaker, folders in FOLDERS.items()
        for folder, code in zip(folders, CODES, strict=True)
        for word in words
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("OAF_angry/OAF_back_angry.wav", ("OAF_back_angry", "angry", "OAF")),
        ("YAF_pleasant_surprised/YAF_date_ps.wav", ("YAF_date_ps", "surprise", "YAF")),
        ("OAF_neutral/OA_bite_neutral.wav", ("OAF_bite_neutral", "neutral", "OAF")),  # spelled so in the corpus
        ("OAF_date_pleasant_surprise.wav", ("OAF_date_ps", "surprise", "OAF")),
        ("OAF_date_Pleasant_Surprised.wav", ("OAF_date_ps", "surprise", "OAF")),
    ],
)
def test_names(tmp_path: Path, name: str, expected: tuple[str, str, str]):
    assert seen(tess, corpus(tmp_path, [name])) == [(*expected, {"gender": "female"})]


def test_wrappings_change_nothing(tmp_path: Path):
    check_wrappings(tess, tmp_path, all_names()[::211])


def test_kaggles_copies_are_read_once(tmp_path: Path):
    name = f"{KAGGLE}OAF_Sad/OAF_back_sad.wav"
    check_doubled(tess, tmp_path, name, f"{KAGGLE.lower()}{name}")


def test_whole_corpus_in_kaggles_layout(tmp_path: Path):
    names = all_names()
    found = whole(tess, tmp_path, [*names, *(f"{KAGGLE.lower()}{name}" for name in names)])
    assert len(found) == 2_800
    assert tess.missing({None: len(found)}) == ""
    labels = Counter(label for _, label, _, _ in found)
    assert labels == dict.fromkeys(["angry", "disgust", "fear", "happy", "neutral", "surprise", "sad"], 400)
    assert Counter(group for _, _, group, _ in found) == {"OAF": 1_400, "YAF": 1_400}


def test_missing():
    assert tess.missing({None: 2_798}) == "not the whole of TESS (2,798 of 2,800 clips)"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("OAF_back_bored.wav", ["unknown emotion code", "allowed: angry, disgust, fear", "'bored'"]),
        ("YA_back_angry.wav", ["unknown speaker code", "allowed: OAF, YAF", "'YA'"]),
        ("XAF_back_angry.wav", ["not a clip of reader 'tess'; allowed: OAF_angry/OAF_back_angry.wav"]),
        ("1001_DFA_ANG_XX.wav", ["not a clip of reader 'tess', but of reader 'crema_d'"]),
        ("angry/back.wav", ["not a clip of reader 'tess', but of reader 'speech_folder'"]),
    ],
)
def test_one_odd_clip_is_refused(tmp_path: Path, name: str, words: list[str]):
    archive = corpus(tmp_path, ["OAF_back_angry.wav", name])
    one_line(lambda: tess.read(archive), f"{archive}: {name}: ", *words)


def test_other_layout(tmp_path: Path):
    archive = corpus(tmp_path, ["AudioWAV/1001_DFA_ANG_XX.wav"])
    one_line(lambda: tess.read(archive), "not the layout of reader 'tess', but of reader 'crema_d'")
