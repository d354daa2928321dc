"""Folders of emotions: spellings, nesting, and a table of speakers in every state."""

import random
from pathlib import Path

import numpy as np
import pytest
from archive_forms import make_zip, one_line
from speech_forms import CLIP, corpus, encoded, seen, tone

from stages.corpora import speech_folder

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


def test_parts_stay_in_the_ids(tmp_path: Path):
    """The same name in two parts is two clips."""
    names = ["train/angry/1.wav", "test/angry/1.wav", "train/sad/1.wav"]
    assert [found[0] for found in seen(speech_folder, corpus(tmp_path, names))] == sorted(names)


def test_order_of_members_and_hidden_files_do_not_count(tmp_path: Path):
    junk = {"sad/.DS_Store": b"", "__MACOSX/sad/._1.wav": b"", "sad/._1.wav": b"", ".git/sad/2.wav": b""}
    plain = seen(speech_folder, make_zip(tmp_path / "plain.zip", FILES))
    for seed in range(5):
        members = list((FILES | junk).items())
        random.Random(seed).shuffle(members)
        assert seen(speech_folder, make_zip(tmp_path / f"{seed}.zip", dict(members))) == plain


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
        ("", ["missing columns"]),
        (GOOD + "fear/1.wav,bert,male\n", ["line 5", "no such clip", "angry/1.wav", "'fear/1.wav'"]),
        (GOOD + "angry/1.wav,bert,male\n", ["line 5", "a clip with two rows", "angry/1.wav"]),
        (GOOD.replace("sad/1.wav,anna,female\n", ""), ["a clip without a row", "one row a clip", "'sad/1.wav'"]),
        (GOOD.replace("bert", " "), ["line 3", "no speaker"]),
        (GOOD.replace(",male", ",mail"), ["line 3", "unknown gender", "female, male, or nothing", "'mail'"]),
        (GOOD.encode("utf-16"), ["not a table in UTF-8"]),
        (GOOD.replace("anna", "Änne").encode("latin-1"), ["not a table in UTF-8"]),
        (GOOD + f'"{"x" * 140_000}', ["not a table", "field larger than field limit"]),
    ],
)
def test_tables_that_are_refused(tmp_path: Path, table: str | bytes, words: list[str]):
    archive = tabled(tmp_path, table)
    assert len(one_line(lambda: speech_folder.read(archive), f"{archive}: speakers.csv", *words)) < 500


def test_two_tables(tmp_path: Path):
    archive = tabled(tmp_path, GOOD, FILES | {"sad/speakers.csv": b""})
    one_line(lambda: speech_folder.read(archive), "more than one speakers.csv", "sad/speakers.csv")


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
