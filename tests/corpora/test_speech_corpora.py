"""The five published speech corpora: names, labels and counts as their documentation and papers state them."""

import zipfile
from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from archive_files import make_zip, one_line
from speech_files import CLIP, corpus, summaries, wrapped

from stages.core import lookup
from stages.core.records import DamagedSample
from stages.corpora import crema_d, ravdess
from stages.corpora.archive.pack import pack

REAL = Path(__file__).parents[2] / "../shared/data/ravdess_4_emotions_18_actors.zip"
KAGGLE_TESS = "TESS Toronto emotional speech set data/"
SAVEE_KAGGLE, SAVEE_PUBLISHED = "ALL/{}_{}{:02d}.wav", "AudioData/{}/{}{:02d}.wav"
SAVEE_SPEAKERS = ("DC", "JE", "JK", "KL")

# Label codes in the documentation of each corpus.
RAVDESS = dict(enumerate(["neutral", "calm", "happy", "sad", "angry", "fear", "disgust", "surprise"], start=1))
CREMA_D = {"ANG": "angry", "DIS": "disgust", "FEA": "fear", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
EMODB = {"W": "angry", "L": "boredom", "E": "disgust", "A": "fear", "F": "happy", "T": "sad", "N": "neutral"}
SAVEE = {"a": "angry", "d": "disgust", "f": "fear", "h": "happy", "n": "neutral", "sa": "sad", "su": "surprise"}
# Folders of TESS as Kaggle spells them, per speaker, in the order of these codes.
TESS_CODES = ("angry", "disgust", "fear", "happy", "neutral", "ps", "sad")
TESS_FOLDERS = {
    "OAF": ("angry", "disgust", "Fear", "happy", "neutral", "Pleasant_surprise", "Sad"),
    "YAF": ("angry", "disgust", "fear", "happy", "neutral", "pleasant_surprised", "sad"),
}
# EmoDB's documentation: "03 - male, 31 years old; 08 - female, 34 years; …"
EMODB_MALE, EMODB_FEMALE = ("03", "10", "11", "12", "15"), ("08", "09", "13", "14", "16")
EMODB_COUNTS = {"W": 127, "L": 81, "E": 46, "A": 69, "F": 71, "T": 62, "N": 79}


def ravdess_name(emotion=5, actor=7, *, kind="03-01", level=1, text=2, take=1) -> str:
    return f"Actor_{actor:02d}/{kind}-{emotion:02d}-{level:02d}-{text:02d}-{take:02d}-{actor:02d}.wav"


def ravdess_names() -> list[str]:
    """60 trials per actor: there is no strong neutral."""
    trials = [(e, s, t, r) for e, s, t, r in product(RAVDESS, (1, 2), (1, 2), (1, 2)) if (e, s) != (1, 2)]
    return [ravdess_name(e, actor, level=s, text=t, take=r) for actor in range(1, 25) for e, s, t, r in trials]


def crema_d_names() -> list[str]:
    """Add level after level, each over all actors and sentences, up to the published number per emotion."""
    sentences = ["DFA", "IEO", "IOM", "ITH", "ITS", "IWL", "IWW", "MTI", "TAI", "TIE", "TSI", "WSI"]
    spoken = [(a, s, level) for level in ("XX", "LO", "MD", "HI") for s in sentences for a in range(1001, 1092)]
    return [
        f"AudioWAV/{actor}_{sentence}_{emotion}_{level}.wav"
        for emotion in CREMA_D
        for actor, sentence, level in spoken[: 1087 if emotion == "NEU" else 1271]
    ]


def emodb_names() -> list[str]:
    texts = ("a01", "a02", "a04", "a05", "a07", "b01", "b02", "b03", "b09", "b10")
    utterances = list(product("ab", EMODB_MALE + EMODB_FEMALE, texts))
    return [
        f"wav/{speaker}{text}{letter}{version}.wav"
        for letter, count in EMODB_COUNTS.items()
        for version, speaker, text in utterances[:count]
    ]


def savee_names(pattern: str) -> list[str]:
    """15 sentences per emotion, 30 neutral ones."""
    numbers = {code: range(1, 31 if code == "n" else 16) for code in SAVEE}
    return [pattern.format(s, code, n) for s in SAVEE_SPEAKERS for code in SAVEE for n in numbers[code]]


def tess_names() -> list[str]:
    """200 words, here of two letters, in each emotion and by each speaker."""
    words = [f"{chr(97 + number // 26)}{chr(97 + number % 26)}" for number in range(200)]
    return [
        f"{KAGGLE_TESS}{speaker}_{folder}/{speaker}_{word}_{code}.wav"
        for speaker, folders in TESS_FOLDERS.items()
        for folder, code in zip(folders, TESS_CODES, strict=True)
        for word in words
    ]


# Reader, clips, another member per clip (such as Kaggle's second copy), clips per label, speakers per gender.
ALIKE = ["angry", "disgust", "fear", "happy", "neutral", "surprise", "sad"]
SAVEE_LABELS = dict.fromkeys(ALIKE, 60) | {"neutral": 120}
# fmt: off
COMPLETE = [
    ("ravdess", ravdess_names(), "audio_speech_actors_01-24/{}", dict.fromkeys(RAVDESS.values(), 192) | {"neutral": 96},
     {"male": 12, "female": 12}),
    ("crema_d", crema_d_names(), "{}.flv", dict.fromkeys(CREMA_D.values(), 1271) | {"neutral": 1087},
     {"male": 48, "female": 43}),
    ("emodb", emodb_names(), "db.emotion.csv", {EMODB[letter]: count for letter, count in EMODB_COUNTS.items()},
     {"male": 5, "female": 5}),
    ("savee", savee_names(SAVEE_KAGGLE), "Info.txt", SAVEE_LABELS, {"male": 4}),
    ("savee", savee_names(SAVEE_PUBLISHED), "AudioData/Info.txt", SAVEE_LABELS, {"male": 4}),
    ("tess", tess_names(), KAGGLE_TESS.lower() + "{}", dict.fromkeys(ALIKE, 400), {"female": 2}),
]
# fmt: on


@pytest.mark.parametrize(("reader", "names", "other", "labels", "genders"), COMPLETE, ids=lambda value: str(value)[:8])
def test_complete_corpus(tmp_path: Path, reader: str, names: list[str], other: str, labels: dict, genders: dict):
    others = [other.format(name) for name in names]
    archive = make_zip(tmp_path / "raw.zip", dict.fromkeys([*names, *others], b""), method=0)
    records = summaries(lookup.load("corpora", reader), archive)
    assert len(records) == len(names)
    assert lookup.load("corpora", reader).missing({None: len(records)}) == ""
    assert Counter(label for _, label, _, _ in records) == labels
    assert Counter({group: extra["gender"] for _, _, group, extra in records}.values()) == genders
    assert [sample_id for sample_id, *_ in records] == sorted(sample_id for sample_id, *_ in records)


@pytest.mark.parametrize(("name", "names"), [row[:2] for row in COMPLETE], ids=lambda value: str(value)[:8])
def test_wrapping_changes_neither_records_nor_order(tmp_path: Path, name: str, names: list[str]):
    reader, names = lookup.load("corpora", name), names[:: len(names) // 13]
    plain = summaries(reader, corpus(tmp_path, names))
    assert len(plain) == len(names)
    for seed in range(8):
        assert summaries(reader, wrapped(tmp_path / f"{seed}.zip", names, seed)) == plain


MALE, FEMALE = {"gender": "male"}, {"gender": "female"}
KIDS, DOGS = {"statement": "kids are talking by the door"}, {"statement": "dogs are sitting by the door"}
RECORDS = [
    ("ravdess", "Actor_12/03-01-06-01-02-01-12", "fear", "12", {**FEMALE, "intensity": "normal", **DOGS}),
    ("ravdess", "Actor_23/03-01-08-02-01-02-23", "surprise", "23", {**MALE, "intensity": "strong", **KIDS}),
    *(("ravdess", ravdess_name(code)[:-4], label, "07", None) for code, label in RAVDESS.items()),
    ("crema_d", "AudioWAV/1001_DFA_ANG_XX", "angry", "1001", MALE),
    ("crema_d", "AudioWAV/1002_IEO_HAP_HI", "happy", "1002", FEMALE),
    ("crema_d", "AudioWAV/1091_WSI_NEU_XX", "neutral", "1091", FEMALE),
    ("crema_d", "AudioWAV/1090_IEO_DIS_MD", "disgust", "1090", MALE),
    ("emodb", "wav/03a01Fa", "happy", "03", MALE),  # the documentation's example: Freude
    ("emodb", "wav/16b10Wb", "angry", "16", FEMALE),
    ("emodb", "wav/14a07La", "boredom", "14", FEMALE),
    ("emodb", "wav/09a05N", "neutral", "09", FEMALE),
    *(("savee", f"ALL/JK_{code}03", label, "JK", MALE) for code, label in SAVEE.items()),
    ("tess", "OAF_angry/OAF_back_angry", "angry", "OAF", FEMALE),
    ("tess", "YAF_pleasant_surprised/YAF_date_ps", "surprise", "YAF", FEMALE),
]


@pytest.mark.parametrize(("reader", "path", "label", "speaker", "extra"), RECORDS, ids=[row[1] for row in RECORDS])
def test_label_and_speaker_come_from_the_name(tmp_path: Path, reader, path, label, speaker, extra):
    [found] = summaries(lookup.load("corpora", reader), corpus(tmp_path, [f"{path}.wav"]))
    assert found[:3] == (Path(path).name, label, speaker)
    assert extra in (None, found[3])


@pytest.mark.parametrize(
    ("reader", "path", "sample_id"),
    [
        ("crema_d", "AudioWAV/1040_ITH_SAD_X.wav", "1040_ITH_SAD_XX"),  # two misspelled names of the real corpora
        ("tess", "OAF_neutral/OA_bite_neutral.wav", "OAF_bite_neutral"),
        ("tess", "OAF_date_pleasant_surprise.wav", "OAF_date_ps"),
        ("tess", "OAF_date_Pleasant_Surprised.wav", "OAF_date_ps"),
        *(("savee", SAVEE_PUBLISHED.format("JK", code, 3), f"JK_{code}03") for code in SAVEE),
        ("savee", "savee/JK/JK_su03.wav", "JK_su03"),
    ],
)
def test_other_spellings_of_a_name(tmp_path: Path, reader: str, path: str, sample_id: str):
    assert [found[0] for found in summaries(lookup.load("corpora", reader), corpus(tmp_path, [path]))] == [sample_id]


@pytest.mark.parametrize(
    ("reader", "first", "copy"),
    [
        ("crema_d", "AudioWAV/1001_DFA_ANG_XX.wav", "AudioMP3/1001_DFA_ANG_XX.mp3"),  # WAV is preferred
        ("crema_d", "CREMA-D/1001_DFA_ANG_XX.mp3", "__MACOSX/CREMA-D/1001_DFA_ANG_XX.wav"),
        ("ravdess", ravdess_name()[:-4] + ".flac", "copy/" + ravdess_name()[:-4] + ".ogg"),
    ],
)
def test_the_least_compressed_format_is_read(tmp_path: Path, reader: str, first: str, copy: str):
    archive = make_zip(tmp_path / "raw.zip", {copy: b"copy", first: b"first"})
    assert [record.read_bytes() for record in lookup.load("corpora", reader).read(archive)] == [b"first"]


@pytest.mark.parametrize(
    ("reader", "first", "other"),
    [
        ("ravdess", ravdess_name(), "audio_speech_actors_01-24/" + ravdess_name()),
        ("ravdess", ravdess_name(), ravdess_name().replace("Actor", "ACTOR")),
        ("emodb", "wav/03a01Fa.wav", "wav2/03A01FA.WAV"),
        ("crema_d", "AudioWAV/1001_DFA_ANG_XX.wav", "old/1001_dfa_ang_x.wav"),
        ("crema_d", "a/1001_DFA_ANG_XX.mp3", "b/1001_DFA_ANG_XX.mp3"),
        ("savee", "ALL/DC_a01.wav", "AudioData/DC/a01.wav"),
        ("tess", "OAF_Pleasant_surprise/OAF_date_ps.wav", "OAF_date_pleasant_surprised.wav"),
    ],
)
def test_one_clip_in_two_places_must_have_the_same_bytes(tmp_path: Path, reader: str, first: str, other: str):
    module = lookup.load("corpora", reader)
    copies = make_zip(tmp_path / "copies.zip", {first: CLIP, other: CLIP})
    assert len(summaries(module, copies)) == 1
    archive = make_zip(tmp_path / "raw.zip", {first: CLIP, other: CLIP + b"more"})
    one_line(lambda: module.read(archive), f"{archive}: one clip twice", "allowed: ", "exact copies", first, other)


@pytest.mark.parametrize(
    ("reader", "counts", "words"),
    [
        ("ravdess", {}, "not the whole of RAVDESS (0 of 1,440 clips)"),
        ("ravdess", {None: 2_452}, "more than the whole of RAVDESS (2,452 clips, not 1,440)"),
        ("crema_d", {None: 7_441}, "CREMA-D (7,441 of 7,442 clips)"),
    ],
)
def test_missing_clips_are_counted(reader: str, counts: dict, words: str):
    assert words in lookup.load("corpora", reader).missing(counts)


VALID = {
    "ravdess": ravdess_name(),
    "crema_d": "AudioWAV/1001_DFA_ANG_XX.wav",
    "emodb": "wav/03a01Fa.wav",
    "savee": "ALL/DC_a01.wav",
    "tess": "OAF_angry/OAF_back_angry.wav",
}
INVALID = [
    ("ravdess", ravdess_name(9), ["emotion code", "allowed: 01, 02, 03, 04, 05, 06, 07, 08", "'09'"]),
    ("ravdess", ravdess_name(level=3), ["intensity code", "allowed: 01, 02;", "'03'"]),
    ("ravdess", ravdess_name(text=3), ["statement code", "'03'"]),
    ("ravdess", ravdess_name(take=3), ["repetition code", "'03'"]),
    ("ravdess", ravdess_name(actor=25), ["actor code", "24", "'25'"]),
    ("ravdess", ravdess_name(kind="04-01"), ["modality code", "'04'"]),
    ("ravdess", ravdess_name(kind="03-03"), ["channel code", "'03'"]),
    ("ravdess", "Actor_07/03-01-05-01-02-01.wav", ["not a clip", "03-01-05-01-02-01-07.wav"]),
    ("ravdess", "Actor_07/x03-01-05-01-02-01-07.flac", ["not a clip"]),
    ("ravdess", "Tess/OAF_back_angry.wav", ["not a clip", "reader 'tess'"]),
    ("crema_d", "1001_DFA_SUR_XX.wav", ["emotion code", "allowed: ANG, DIS, FEA, HAP, NEU, SAD", "'SUR'"]),
    ("crema_d", "1001_DFA_ANG_ZZ.wav", ["level code", "LO, MD, HI, XX", "'ZZ'"]),
    ("crema_d", "1092_DFA_ANG_XX.wav", ["actor code", "'1092'"]),
    ("crema_d", "1001_DFA_ANG.wav", ["not a clip"]),
    ("emodb", "wav/03a01Xa.wav", ["emotion code", "allowed: W, L, E, A, F, T, N;", "'X'"]),
    ("emodb", "wav/07a01Fa.wav", ["speaker code", "allowed: 03, 08, 09", "'07'"]),
    ("emodb", "wav/3a01Fa.wav", ["not a clip"]),
    ("savee", "ALL/DC_x01.wav", ["emotion code", "allowed: a, d, f, h, n, sa, su", "'x'"]),
    ("savee", "ALL/MM_a01.wav", ["speaker code", "allowed: DC, JE, JK, KL", "'MM'"]),
    ("savee", "ALL/a01.wav", ["not a clip"]),
    ("tess", "OAF_back_bored.wav", ["emotion code", "allowed: angry, disgust, fear", "'bored'"]),
    ("tess", "YA_back_angry.wav", ["speaker code", "allowed: OAF, YAF", "'YA'"]),
    ("tess", "XAF_back_angry.wav", ["not a clip"]),
    ("tess", "angry/back.wav", ["not a clip", "reader 'speech_folder'"]),
]


@pytest.mark.parametrize(("reader", "name", "words"), INVALID, ids=[f"{row[0]}-{row[1]}" for row in INVALID])
def test_refuses_one_invalid_name(tmp_path: Path, reader: str, name: str, words: list[str]):
    archive = corpus(tmp_path, [VALID[reader], name])
    one_line(lambda: lookup.load("corpora", reader).read(archive), f"{archive}: {name}: ", "allowed: ", *words)


@pytest.mark.parametrize("other", [*VALID, "speech_folder"])
@pytest.mark.parametrize("reader", VALID)
def test_names_the_reader_that_fits(tmp_path: Path, reader: str, other: str):
    archive = corpus(tmp_path, [VALID[other]] if other in VALID else ["angry/1.wav", "sad/2.mp3"])
    if reader == other:
        assert len(summaries(lookup.load("corpora", reader), archive)) == 1
        return
    words = [f"{archive}: not the layout of reader {reader!r}", f"reader {other!r}", "allowed: ", "received: "]
    assert len(one_line(lambda: lookup.load("corpora", reader).read(archive), *words)) < 400


@pytest.mark.parametrize("reader", VALID)
@pytest.mark.parametrize(
    ("names", "received"),
    [
        (["one.wav", "two.wav"], "one.wav, two.wav"),
        (["Actor_01/01-01-05-01-02-01-01.mp4"], ".mp4"),
        (["fer2013.csv"], "fer2013.csv"),
        (["__MACOSX/._a.wav"], ""),
        ([], "an empty archive"),
    ],
)
def test_refuses_archives_without_clips(tmp_path: Path, reader: str, names: list[str], received: str):
    archive = make_zip(tmp_path / "raw.zip", dict.fromkeys(names, CLIP))
    line = one_line(lambda: lookup.load("corpora", reader).read(archive), "not the layout", received)
    assert ", but of reader" not in line


def test_ravdess_leaves_out_songs_and_videos(tmp_path: Path):
    others = [ravdess_name(3, kind=kind) for kind in ("03-02", "01-01", "02-01", "01-02")]
    archive = corpus(tmp_path, [ravdess_name(3), *others])
    assert [found[0] for found in summaries(ravdess, archive)] == [Path(ravdess_name(3)).stem]
    one_line(lambda: ravdess.read(corpus(tmp_path, others)), "holds no speech clips", "03-01-05")


def test_crema_d_pointers_of_git_lfs_are_damaged_samples(tmp_path: Path):
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 66844\n"
    [record] = crema_d.read(make_zip(tmp_path / "raw.zip", {VALID["crema_d"]: pointer}))
    with pytest.raises(DamagedSample, match="Git LFS pointer"):
        record.load()


@pytest.mark.skipif(not REAL.exists(), reason="needs the part of the real RAVDESS in ../shared/data")
def test_real_ravdess(tmp_path: Path):
    pack(REAL, tmp_path / "speech.zip")
    records = list(ravdess.read(tmp_path / "speech.zip"))
    with zipfile.ZipFile(REAL) as opened:
        names = [name for name in opened.namelist() if name.endswith(".wav")]
    assert [record.sample_id for record in records] == sorted(Path(name).stem for name in names)
    assert Counter(record.label for record in records) == {"happy": 144, "sad": 144, "angry": 144, "neutral": 72}
    assert Counter(record.group for record in records) == {f"{actor:02d}": 28 for actor in range(1, 19)}
    assert "504 of 1,440 clips" in ravdess.missing(Counter(record.partition for record in records))
    for record in records[::9]:
        samples, rate_hz = record.load()
        assert (rate_hz, samples.shape[0], samples.dtype) == (48_000, 1, np.float32)
        assert 2.5 < samples.shape[1] / rate_hz < 6
