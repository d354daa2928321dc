"""CREMA-D: 91 actors, its one misspelled name, and its repository with MP3 beside WAV."""

from collections import Counter
from pathlib import Path

import pytest
from archive_forms import make_zip, one_line
from speech_forms import check_doubled, check_wrappings, corpus, seen, whole

from stages.core.records import DamagedSample
from stages.corpora import crema_d

# Papers on it: 1,271 clips an emotion but 1,087 neutral ones
COUNTS = {"ANG": 1271, "DIS": 1271, "FEA": 1271, "HAP": 1271, "NEU": 1087, "SAD": 1271}
LABELS = {"ANG": "angry", "DIS": "disgust", "FEA": "fear", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
SENTENCES = ["DFA", "IEO", "IOM", "ITH", "ITS", "IWL", "IWW", "MTI", "TAI", "TIE", "TSI", "WSI"]
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 66844\n"


def all_names() -> list[str]:
    """Level by level until the published number is reached, each emotion over all actors and sentences."""
    spoken = [(a, s, level) for level in ("XX", "LO", "MD", "HI") for s in SENTENCES for a in range(1001, 1092)]
    return [
        f"AudioWAV/{actor}_{sentence}_{emotion}_{level}.wav"
        for emotion, count in COUNTS.items()
        for actor, sentence, level in spoken[:count]
    ]


@pytest.mark.parametrize(
    ("name", "label", "gender"),
    [
        ("1001_DFA_ANG_XX", "angry", "male"),
        ("1002_IEO_HAP_HI", "happy", "female"),
        ("1047_IEO_FEA_LO", "fear", "female"),
        ("1091_WSI_NEU_XX", "neutral", "female"),
        ("1090_IEO_DIS_MD", "disgust", "male"),
    ],
)
def test_names(tmp_path: Path, name: str, label: str, gender: str):
    assert seen(crema_d, corpus(tmp_path, [f"AudioWAV/{name}.wav"])) == [(name, label, name[:4], {"gender": gender})]


def test_the_name_with_one_x(tmp_path: Path):
    found = seen(crema_d, corpus(tmp_path, ["AudioWAV/1040_ITH_SAD_X.wav"]))
    assert found == [("1040_ITH_SAD_XX", "sad", "1040", {"gender": "male"})]


def test_wrappings_change_nothing(tmp_path: Path):
    check_wrappings(crema_d, tmp_path, all_names()[::601])


def test_wav_is_preferred_to_the_mp3_of_the_repository(tmp_path: Path):
    check_doubled(crema_d, tmp_path, "AudioWAV/1001_DFA_ANG_XX.wav", "AudioMP3/1001_DFA_ANG_XX.mp3")
    check_doubled(crema_d, tmp_path, "CREMA-D/1001_DFA_ANG_XX.mp3", "__MACOSX/CREMA-D/1001_DFA_ANG_XX.wav")


def test_pointers_of_git_lfs_are_damaged_samples(tmp_path: Path):
    record = next(crema_d.read(make_zip(tmp_path / "raw.zip", {"AudioWAV/1001_DFA_ANG_XX.wav": POINTER})))
    with pytest.raises(DamagedSample, match="a Git LFS pointer instead of the audio; 'git lfs pull' fetches it"):
        record.load()


def test_whole_corpus(tmp_path: Path):
    found = whole(crema_d, tmp_path, [*all_names(), "VideoDemographics.csv", "VideoFlash/1001_DFA_ANG_XX.flv"])
    assert len(found) == 7_442
    assert crema_d.missing({None: len(found)}) == ""
    assert Counter(label for _, label, _, _ in found) == {LABELS[code]: count for code, count in COUNTS.items()}
    genders = {group: extra["gender"] for _, _, group, extra in found}
    assert Counter(genders.values()) == {"male": 48, "female": 43}  # the corpus's page


def test_missing():
    assert crema_d.missing({None: 7_441}) == "not the whole of CREMA-D (7,441 of 7,442 clips)"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("1001_DFA_SUR_XX.wav", ["unknown emotion code", "allowed: ANG, DIS, FEA, HAP, NEU, SAD", "'SUR'"]),
        ("1001_DFA_ANG_ZZ.wav", ["unknown level code", "LO, MD, HI, XX", "'ZZ'"]),
        ("1000_DFA_ANG_XX.wav", ["unknown actor code", "'1000'"]),
        ("1092_DFA_ANG_XX.wav", ["unknown actor code", "'1092'"]),
        ("1001_DFA_ANG.wav", ["not a clip of reader 'crema_d'; allowed: AudioWAV/1001_DFA_ANG_XX.wav"]),
        ("YAF_date_ps.wav", ["not a clip of reader 'crema_d', but of reader 'tess'"]),
    ],
)
def test_one_odd_clip_is_refused(tmp_path: Path, name: str, words: list[str]):
    archive = corpus(tmp_path, ["1001_DFA_ANG_XX.wav", name])
    one_line(lambda: crema_d.read(archive), f"{archive}: {name}: ", *words)


def test_other_layout(tmp_path: Path):
    archive = corpus(tmp_path, ["DC/a01.wav"])
    one_line(lambda: crema_d.read(archive), "not the layout of reader 'crema_d', but of reader 'savee'")
