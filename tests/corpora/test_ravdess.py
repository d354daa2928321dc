"""RAVDESS as published, as Kaggle doubles it, with its songs, and the part of the real one that is at hand."""

import zipfile
from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from archive_forms import make_zip, one_line
from speech_forms import CLIP, check_doubled, check_wrappings, corpus, seen, whole

from stages.corpora import ravdess
from stages.corpora.archive.pack import pack

REAL = Path(__file__).parents[2] / "../shared/data/ravdess_4_emotions_18_actors.zip"
# The corpus's page: 1 neutral, 2 calm, 3 happy, 4 sad, 5 angry, 6 fearful, 7 disgust, 8 surprised
EMOTIONS = dict(enumerate(["neutral", "calm", "happy", "sad", "angry", "fear", "disgust", "surprise"], start=1))


def name_of(
    emotion: int = 5, actor: int = 7, *, kind: str = "03-01", level: int = 1, text: int = 2, take: int = 1
) -> str:
    return f"Actor_{actor:02d}/{kind}-{emotion:02d}-{level:02d}-{text:02d}-{take:02d}-{actor:02d}.wav"


def all_names(kind: str = "03-01") -> list[str]:
    """60 trials an actor: there is no strong neutral."""
    trials = [(e, s, t, r) for e, s, t, r in product(EMOTIONS, (1, 2), (1, 2), (1, 2)) if (e, s) != (1, 2)]
    return [name_of(e, actor, kind=kind, level=s, text=t, take=r) for actor in range(1, 25) for e, s, t, r in trials]


def test_the_example_of_the_corpus(tmp_path: Path):
    archive = corpus(tmp_path, ["Actor_12/03-01-06-01-02-01-12.wav"])
    facts = {"gender": "female", "intensity": "normal", "statement": "dogs are sitting by the door"}
    assert seen(ravdess, archive) == [("03-01-06-01-02-01-12", "fear", "12", facts)]
    record = next(ravdess.read(archive))
    samples, rate_hz = record.load()
    assert (samples.shape, samples.dtype, rate_hz) == ((1, 800), np.float32, 16_000)
    assert record.partition is None
    assert record.trial is None


@pytest.mark.parametrize(("code", "label"), EMOTIONS.items())
def test_codes(tmp_path: Path, code: int, label: str):
    assert [found[1] for found in seen(ravdess, corpus(tmp_path, [name_of(code)]))] == [label]


def test_strong_statement_and_actor(tmp_path: Path):
    facts = {"gender": "male", "intensity": "strong", "statement": "kids are talking by the door"}
    found = seen(ravdess, corpus(tmp_path, [name_of(8, 23, level=2, text=1, take=2)]))
    assert found == [("03-01-08-02-01-02-23", "surprise", "23", facts)]


def test_wrappings_change_nothing(tmp_path: Path):
    check_wrappings(ravdess, tmp_path, all_names()[::97])


def test_kaggles_copies_are_read_once(tmp_path: Path):
    check_doubled(ravdess, tmp_path, name_of(), f"audio_speech_actors_01-24/{name_of()}")


def test_whole_corpus_in_kaggles_layout(tmp_path: Path):
    names = all_names()
    found = whole(ravdess, tmp_path, [*names, *(f"audio_speech_actors_01-24/{name}" for name in names)])
    assert len(found) == 1_440
    assert ravdess.missing({None: len(found)}) == ""
    assert Counter(label for _, label, _, _ in found) == dict.fromkeys(EMOTIONS.values(), 192) | {"neutral": 96}
    assert Counter(group for _, _, group, _ in found) == {f"{actor:02d}": 60 for actor in range(1, 25)}
    assert Counter(extra["gender"] for _, _, _, extra in found) == {"male": 720, "female": 720}
    assert [sample_id for sample_id, *_ in found] == sorted(Path(name).stem for name in names)


def test_songs_and_sound_of_videos_are_left_out(tmp_path: Path):
    speech = name_of(3)
    others = [name_of(3, kind=kind) for kind in ("03-02", "01-01", "02-01", "01-02")]
    assert [found[0] for found in seen(ravdess, corpus(tmp_path, [speech, *others]))] == [Path(speech).stem]
    one_line(lambda: ravdess.read(corpus(tmp_path, others)), "holds no speech clips", "03-01-05")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({None: 1_440}, ""),
        ({None: 504}, "not the whole of RAVDESS (504 of 1,440 clips)"),
        ({}, "not the whole of RAVDESS (0 of 1,440 clips)"),
        ({None: 2_452}, "more than the whole of RAVDESS (2,452 clips, not 1,440)"),
    ],
)
def test_missing(found: dict, said: str):
    assert ravdess.missing(found) == said


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (name_of(9), ["unknown emotion code", "allowed: 01, 02, 03, 04, 05, 06, 07, 08", "'09'"]),
        (name_of(0), ["unknown emotion code", "'00'"]),
        (name_of(level=3), ["unknown intensity code", "allowed: 01, 02;", "'03'"]),
        (name_of(text=3), ["unknown statement code", "'03'"]),
        (name_of(take=3), ["unknown repetition code", "'03'"]),
        (name_of(actor=25), ["unknown actor code", "24", "'25'"]),
        (name_of(actor=0), ["unknown actor code", "'00'"]),
        (name_of(kind="04-01"), ["unknown modality code", "'04'"]),
        (name_of(kind="03-03"), ["unknown channel code", "'03'"]),
        ("Actor_07/03-01-05-01-02-01.wav", ["not a clip of reader 'ravdess'", "03-01-05-01-02-01-07.wav"]),
        ("Actor_07/03-01-05-01-02-01-07 (1).wav", ["not a clip of reader 'ravdess'"]),
        ("Actor_07/x03-01-05-01-02-01-07.flac", ["not a clip of reader 'ravdess'"]),
        ("Tess/OAF_back_angry.wav", ["not a clip of reader 'ravdess', but of reader 'tess'"]),
    ],
)
def test_one_odd_clip_is_refused(tmp_path: Path, name: str, words: list[str]):
    archive = corpus(tmp_path, [name_of(), name])
    one_line(lambda: ravdess.read(archive), f"{archive}: {name}: ", *words)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["wav/03a01Fa.wav", "wav/16b10Wb.wav"], ["but of reader 'emodb'", "03a01Fa.wav"]),
        (["AudioWAV/1001_DFA_ANG_XX.wav"], ["but of reader 'crema_d'"]),
        (["ALL/DC_a01.wav"], ["but of reader 'savee'"]),
        (["AudioData/DC/a01.wav"], ["but of reader 'savee'"]),
        (["YAF_sad/YAF_date_sad.wav"], ["but of reader 'tess'"]),
        (["angry/1.wav", "sad/2.mp3"], ["but of reader 'speech_folder'"]),
        (["one.wav", "two.wav"], ["not the layout of reader 'ravdess'; allowed: Actor_07/", "one.wav, two.wav"]),
        (["Actor_01/01-01-05-01-02-01-01.mp4"], ["not the layout of reader 'ravdess'; allowed", ".mp4"]),
        (["fer2013.csv"], ["not the layout of reader 'ravdess'", "fer2013.csv"]),
    ],
)
def test_other_layouts(tmp_path: Path, names: list[str], words: list[str]):
    archive = corpus(tmp_path, names)
    assert (
        len(one_line(lambda: ravdess.read(archive), str(archive), "not the layout of reader 'ravdess'", *words)) < 400
    )


def test_empty_archive(tmp_path: Path):
    archive = make_zip(tmp_path / "empty.zip", {"__MACOSX/._a.wav": CLIP})
    one_line(lambda: ravdess.read(archive), "not the layout of reader 'ravdess'")
    archive = make_zip(tmp_path / "nothing.zip", {})
    one_line(lambda: ravdess.read(archive), "not the layout of reader 'ravdess'", "an empty archive")


@pytest.mark.skipif(not REAL.exists(), reason="needs the part of the real RAVDESS in ../shared/data")
def test_the_real_corpus(tmp_path: Path):
    pack(REAL, tmp_path / "speech.zip")
    found = list(ravdess.read(tmp_path / "speech.zip"))
    with zipfile.ZipFile(REAL) as opened:
        names = [name for name in opened.namelist() if name.endswith(".wav")]
    assert [record.sample_id for record in found] == sorted(Path(name).stem for name in names)
    assert Counter(record.label for record in found) == {"happy": 144, "sad": 144, "angry": 144, "neutral": 72}
    assert Counter(record.group for record in found) == {f"{actor:02d}": 28 for actor in range(1, 19)}
    assert ravdess.missing(Counter(record.partition for record in found)) == (
        "not the whole of RAVDESS (504 of 1,440 clips)"
    )
    for record in found[::9]:
        samples, rate_hz = record.load()
        assert (rate_hz, samples.shape[0], samples.dtype) == (48_000, 1, np.float32)
        assert 2.5 < samples.shape[1] / rate_hz < 6
