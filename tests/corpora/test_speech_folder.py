"""Folders of emotions: spellings, nesting, and a table of speakers in every state."""

import random
from pathlib import Path

import numpy as np
import pytest
from archive_forms import make_zip, one_line
from speech_forms import CLIP, corpus, encoded, seen, tone

from stages.corpora import speech_folder

OTHER = encoded(tone(0.06))
FILES = {"angry/1.wav": CLIP, "angry/2.wav": CLIP, "sad/1.wav": CLIP}


def tabled(tmp_path: Path, table: str | bytes, files: dict[str, bytes] = FILES, name: str = "speakers.csv") -> Path:
    content = table.encode() if isinstance(table, str) else table
    return make_zip(tmp_path / "raw.zip", files | {name: content})


def test_folders_are_emotions_in_any_spelling(tmp_path: Path):
    names = ["Anger/b.wav", "Anger/a.WAV", "HAPPY/x.flac", "surprised/x.mp3", "boredom/x.ogg", "calm/é 1.wav"]
    found = seen(speech_folder, corpus(tmp_path, names))
    labels = {sample_id: label for sample_id, label, _, _ in found}
    assert labels == dict(zip(names, ["angry", "angry", "happy", "surprise", "boredom", "calm"], strict=True))
    assert [sample_id for sample_id, *_ in found] == sorted(names)
    assert {(group, *extra) for _, _, group, extra in found} == {(None,)}
    assert speech_folder.missing({None: len(found)}) == ""


def test_clips_decode(tmp_path: Path):
    files = {"sad/a.flac": encoded(tone(), form="FLAC"), "sad/b.mp3": encoded(tone(0.5), form="MP3")}
    flac, mp3 = (record.load() for record in speech_folder.read(make_zip(tmp_path / "raw.zip", files)))
    assert (flac[0].shape, flac[0].dtype, flac[1]) == ((1, 800), np.float32, 16_000)
    assert (mp3[0].shape, mp3[1]) == ((1, 8000), 16_000)


@pytest.mark.parametrize("outer", ["", "data/", "My Corpus (2)/data/", "happy/"])
def test_outer_folders_do_not_change_ids(tmp_path: Path, outer: str):
    names = [outer + name for name in FILES]
    found = seen(speech_folder, corpus(tmp_path, [*names, f"{outer}notes.txt"]))
    assert found == [
        ("angry/1.wav", "angry", None, {}),
        ("angry/2.wav", "angry", None, {}),
        ("sad/1.wav", "sad", None, {}),
    ]


@pytest.mark.parametrize("folders", [("train", "test"), ("anna", "bert"), ("a/b", "a/c")])
def test_folders_beside_each_other_stay_in_the_ids(tmp_path: Path, folders: tuple[str, str]):
    """There, the same name is two clips."""
    one, other = folders
    files = {f"{one}/angry/1.wav": CLIP, f"{other}/angry/1.wav": OTHER, f"{one}/sad/1.wav": CLIP}
    found = seen(speech_folder, make_zip(tmp_path / "raw.zip", files))
    assert [sample_id for sample_id, *_ in found] == sorted(name.removeprefix("a/") for name in files)


def test_order_of_members_and_hidden_files_do_not_count(tmp_path: Path):
    junk = {"sad/.DS_Store": b"", "__MACOSX/sad/._1.wav": b"", "sad/._1.wav": b"", ".git/sad/2.wav": b""}
    plain = seen(speech_folder, make_zip(tmp_path / "plain.zip", FILES))
    for seed in range(5):
        members = list((FILES | junk).items())
        random.Random(seed).shuffle(members)
        assert seen(speech_folder, make_zip(tmp_path / f"{seed}.zip", dict(members))) == plain


# The same clips twice


COPIES = ["corpus/", "zz copy/deeper/", "CORPUS/"]


@pytest.mark.parametrize("outer", ["", "data/"])
@pytest.mark.parametrize("copy", COPIES)
def test_doubled_copies_are_read_once(tmp_path: Path, copy: str, outer: str):
    files = FILES | {"sad/2.wav": OTHER}
    plain = seen(speech_folder, make_zip(tmp_path / "plain.zip", files))
    doubled = {f"{outer}{where}{name}": content for where in ("", copy) for name, content in files.items()}
    for seed in range(5):
        members = list(doubled.items())
        random.Random(seed).shuffle(members)
        assert seen(speech_folder, make_zip(tmp_path / f"{seed}.zip", dict(members))) == plain


def test_some_doubled_and_in_another_spelling(tmp_path: Path):
    files = FILES | {"Copy/Anger/1.WAV": CLIP, "Copy/fear/9.wav": OTHER, "__MACOSX/angry/2.wav": OTHER}
    found = list(speech_folder.read(make_zip(tmp_path / "raw.zip", files)))
    assert [record.sample_id for record in found] == ["Copy/fear/9.wav", *FILES]
    assert [record.read_bytes() for record in found] == [OTHER, CLIP, CLIP, CLIP]


def test_copies_beside_each_other(tmp_path: Path):
    files = {f"{folder}/{name}": content for folder in ("corpus", "corpus - Copy") for name, content in FILES.items()}
    assert [found[0] for found in seen(speech_folder, make_zip(tmp_path / "raw.zip", files))] == list(FILES)


def test_the_same_sound_under_two_names_or_emotions_is_two_clips(tmp_path: Path):
    """Which of them is right nobody knows; `split` names them."""
    found = seen(speech_folder, corpus(tmp_path, ["angry/1.wav", "angry/2.wav", "sad/1.wav"]))
    assert len(found) == 3


@pytest.mark.parametrize(
    "name", ["corpus/angry/1.wav", "a/b/angry/1.wav", "angry/1.mp3", "a/Anger/1.FLAC", "anger/1.wav"]
)
def test_clips_that_may_be_one_recording_are_refused(tmp_path: Path, name: str):
    archive = make_zip(tmp_path / "raw.zip", FILES | {name: OTHER})
    words = ["two clips of one name that differ", "exact copies, other names, or folders beside each other"]
    one_line(lambda: speech_folder.read(archive), f"{archive}: ", *words, "angry/1.wav", name)


# speakers.csv


GOOD = "file,speaker,gender\nangry/1.wav,anna,female\nangry/2.wav,bert,male\nsad/1.wav,anna,female\n"
EXPECTED = [("anna", {"gender": "female"}), ("bert", {"gender": "male"}), ("anna", {"gender": "female"})]


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (GOOD, EXPECTED),
        ("\ufeff" + GOOD.replace("\n", "\r\n"), EXPECTED),  # as Excel writes it
        (GOOD.replace("file,speaker,gender", " File , SPEAKER,Gender"), EXPECTED),
        (GOOD.replace("angry/", "angry\\"), EXPECTED),
        (GOOD.replace("angry/", "./angry/"), EXPECTED),
        (GOOD.replace("female", "Female"), EXPECTED),
        (GOOD.replace("anna,female", "anna,"), [("anna", {}), EXPECTED[1], ("anna", {})]),
        (GOOD.replace("anna,female", "anna"), [("anna", {}), EXPECTED[1], ("anna", {})]),
        ("speaker,file\n7,sad/1.wav\n\n8,angry/1.wav\n8,angry/2.wav\n", [("8", {}), ("8", {}), ("7", {})]),
        (
            'file,speaker,age\n"angry/1.wav","a, b",3\nangry/2.wav,c,4\nsad/1.wav,d,5\n',
            [("a, b", {}), ("c", {}), ("d", {})],
        ),
    ],
)
def test_tables_of_speakers(tmp_path: Path, table: str, expected: list[tuple[str, dict]]):
    found = seen(speech_folder, tabled(tmp_path, table))
    assert [(group, extra) for _, _, group, extra in found] == expected


@pytest.mark.parametrize("prefix", ["", "data/"])
@pytest.mark.parametrize("name", ["speakers.csv", "data/speakers.csv", "data/Speakers.CSV"])
def test_rows_name_ids_or_whole_paths_wherever_the_table_lies(tmp_path: Path, name: str, prefix: str):
    table = GOOD.replace("angry/", f"{prefix}angry/").replace("sad/", f"{prefix}sad/")
    files = {f"data/{path}": content for path, content in FILES.items()}
    found = seen(speech_folder, tabled(tmp_path, table, files, name))
    assert [(group, extra) for _, _, group, extra in found] == EXPECTED


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (
            GOOD.replace("speaker,", "name,", 1),
            ["missing columns", "allowed: file,speaker[,gender]", "file,name,gender"],
        ),
        (GOOD.replace(",", ";"), ["missing columns", "file;speaker;gender"]),
        ("", ["not a table"]),
        (GOOD + "fear/1.wav,bert,male\n", ["line 5", "no such clip", "angry/1.wav", "'fear/1.wav'"]),
        (
            GOOD + "angry/1.wav,bert,male\n",
            ["line 5", "rows that differ for one clip", "one speaker a clip", "angry/1.wav"],
        ),
        (GOOD.replace("sad/1.wav,anna,female\n", ""), ["a clip without a row", "one row a clip", "'sad/1.wav'"]),
        (GOOD.replace("bert", " "), ["line 3", "no speaker"]),
        (GOOD.replace(",male", ",mail"), ["line 3", "unknown gender", "female, male, or nothing", "'mail'"]),
        (GOOD.encode("utf-16"), ["not a table in UTF-8"]),
        (GOOD.replace("anna", "Änne").encode("latin-1"), ["not a table in UTF-8"]),
        (GOOD + f'"{"x" * 140_000}', ["not a table", "inside string"]),
    ],
)
def test_tables_that_are_refused(tmp_path: Path, table: str | bytes, words: list[str]):
    archive = tabled(tmp_path, table)
    assert len(one_line(lambda: speech_folder.read(archive), f"{archive}: speakers.csv", *words)) < 500


def test_two_tables(tmp_path: Path):
    archive = tabled(tmp_path, GOOD, FILES | {"sad/speakers.csv": b""})
    one_line(lambda: speech_folder.read(archive), "more than one speakers.csv", "sad/speakers.csv")


@pytest.mark.parametrize("rows", [GOOD, GOOD.replace("angry/1", "corpus/angry/1"), GOOD + GOOD.partition("\n")[2]])
def test_a_table_may_be_doubled_too_and_name_copies(tmp_path: Path, rows: str):
    files = FILES | {f"corpus/{name}": content for name, content in FILES.items()}
    archive = tabled(tmp_path, rows, files | {"corpus/speakers.csv": rows.encode()})
    assert [(sample_id, group) for sample_id, _, group, _ in seen(speech_folder, archive)] == [
        ("angry/1.wav", "anna"),
        ("angry/2.wav", "bert"),
        ("sad/1.wav", "anna"),
    ]


def test_one_recording_of_two_speakers(tmp_path: Path):
    """Exact copies whose rows differ: to choose one would be to guess whose voice it is."""
    files = {"anna/angry/1.wav": CLIP, "bert/angry/1.wav": CLIP, "bert/sad/1.wav": CLIP}
    archive = tabled(tmp_path, "file,speaker\n" + "".join(f"{name},{name[:4]}\n" for name in files), files)
    words = ["line 3", "rows that differ for one clip, or for exact copies of it", "'bert/angry/1.wav'"]
    one_line(lambda: speech_folder.read(archive), f"{archive}: speakers.csv", *words)


# What is refused


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("angri/3.wav", ["unknown emotion folder", "Did you mean 'angry'?", "'angri'"]),
        ("angry/anna/3.wav", ["unknown emotion folder", "allowed: angry, disgust", "'anna'"]),
        ("3.mp3", ["unknown emotion folder"]),
    ],
)
def test_one_odd_clip_is_refused(tmp_path: Path, name: str, words: list[str]):
    archive = corpus(tmp_path, [*FILES, name])
    one_line(lambda: speech_folder.read(archive), f"{archive}: {name}: ", *words)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["Actor_07/03-01-05-01-02-01-07.wav"], ["but of reader 'ravdess'"]),
        (["wav/03a01Fa.wav"], ["but of reader 'emodb'"]),
        (["OAF_angry/OAF_back_angry.wav"], ["but of reader 'tess'"]),
        (["one/1.wav"], ["'speech_folder'; allowed: <emotion>/<name>.wav|flac|mp3", "one/1.wav"]),
        (["angry/1.jpg", "angry/1.txt"], ["'speech_folder'; allowed: <emotion>/", "angry/1.jpg"]),
    ],
)
def test_other_layouts(tmp_path: Path, names: list[str], words: list[str]):
    archive = corpus(tmp_path, names)
    one_line(lambda: speech_folder.read(archive), f"{archive}: not the layout of reader 'speech_folder'", *words)
