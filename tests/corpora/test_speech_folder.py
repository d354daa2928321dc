"""Emotion folders in any spelling and nesting, copies, and tables of speakers."""

import random
from pathlib import Path

import pytest
from archive_files import make_zip, one_line
from speech_files import CLIP, corpus, encoded, summaries, tone

from stages.corpora import speech_folder

OTHER = encoded(tone(0.06))
FILES = {"angry/1.wav": CLIP, "angry/2.wav": CLIP, "sad/1.wav": CLIP}


def with_table(tmp_path: Path, table: str | bytes, files: dict[str, bytes] = FILES, name: str = "speakers.csv") -> Path:
    content = table.encode() if isinstance(table, str) else table
    return make_zip(tmp_path / "raw.zip", files | {name: content})


def test_reads_emotions_in_any_spelling(tmp_path: Path):
    names = ["Anger/b.wav", "Anger/a.WAV", "HAPPY/x.flac", "surprised/x.mp3", "boredom/x.ogg", "calm/é 1.wav"]
    found = summaries(speech_folder, corpus(tmp_path, names))
    labels = {sample_id: label for sample_id, label, _, _ in found}
    assert labels == dict(zip(names, ["angry", "angry", "happy", "surprise", "boredom", "calm"], strict=True))
    assert [sample_id for sample_id, *_ in found] == sorted(names)
    assert {(group, *extra) for _, _, group, extra in found} == {(None,)}
    assert speech_folder.missing({None: len(found)}) == ""


@pytest.mark.parametrize("outer", ["", "data/", "My Corpus (2)/data/", "happy/"])
def test_outer_folders_do_not_change_ids(tmp_path: Path, outer: str):
    names = [outer + name for name in FILES]
    found = summaries(speech_folder, corpus(tmp_path, [*names, f"{outer}notes.txt"]))
    assert found == [(name, name.partition("/")[0], None, {}) for name in FILES]


@pytest.mark.parametrize("folders", [("train", "test"), ("anna", "bert"), ("a/b", "a/c")])
def test_sibling_folders_are_part_of_the_ids(tmp_path: Path, folders: tuple[str, str]):
    """Clips with the same name in sibling folders are different clips."""
    one, other = folders
    files = {f"{one}/angry/1.wav": CLIP, f"{other}/angry/1.wav": OTHER, f"{one}/sad/1.wav": CLIP}
    found = summaries(speech_folder, make_zip(tmp_path / "raw.zip", files))
    assert [sample_id for sample_id, *_ in found] == sorted(name.removeprefix("a/") for name in files)


def test_order_and_hidden_files_change_nothing(tmp_path: Path):
    junk = {"sad/.DS_Store": b"", "__MACOSX/sad/._1.wav": b"", "sad/._1.wav": b"", ".git/sad/2.wav": b""}
    plain = summaries(speech_folder, make_zip(tmp_path / "plain.zip", FILES))
    for seed in range(5):
        members = list((FILES | junk).items())
        random.Random(seed).shuffle(members)
        assert summaries(speech_folder, make_zip(tmp_path / f"{seed}.zip", dict(members))) == plain


@pytest.mark.parametrize("outer", ["", "data/"])
@pytest.mark.parametrize("copy", ["corpus/", "zz copy/deeper/", "CORPUS/"])
def test_copies_are_read_once(tmp_path: Path, copy: str, outer: str):
    files = FILES | {"sad/2.wav": OTHER}
    plain = summaries(speech_folder, make_zip(tmp_path / "plain.zip", files))
    doubled = {f"{outer}{where}{name}": content for where in ("", copy) for name, content in files.items()}
    for seed in range(5):
        members = list(doubled.items())
        random.Random(seed).shuffle(members)
        assert summaries(speech_folder, make_zip(tmp_path / f"{seed}.zip", dict(members))) == plain


def test_some_copies_in_another_spelling(tmp_path: Path):
    files = FILES | {"Copy/Anger/1.WAV": CLIP, "Copy/fear/9.wav": OTHER, "__MACOSX/angry/2.wav": OTHER}
    found = list(speech_folder.read(make_zip(tmp_path / "raw.zip", files)))
    assert [record.sample_id for record in found] == ["Copy/fear/9.wav", *FILES]
    assert [record.read_bytes() for record in found] == [OTHER, CLIP, CLIP, CLIP]


def test_copies_in_sibling_folders(tmp_path: Path):
    files = {f"{folder}/{name}": content for folder in ("corpus", "corpus - Copy") for name, content in FILES.items()}
    assert [found[0] for found in summaries(speech_folder, make_zip(tmp_path / "raw.zip", files))] == list(FILES)


@pytest.mark.parametrize(
    "name", ["corpus/angry/1.wav", "a/b/angry/1.wav", "angry/1.mp3", "a/Anger/1.FLAC", "anger/1.wav"]
)
def test_refuses_clips_that_may_be_one_recording(tmp_path: Path, name: str):
    archive = make_zip(tmp_path / "raw.zip", FILES | {name: OTHER})
    words = ["two different clips with one name", "allowed: exact copies", "angry/1.wav", name]
    one_line(lambda: speech_folder.read(archive), f"{archive}: ", *words)


GOOD = "file,speaker,gender\nangry/1.wav,anna,female\nangry/2.wav,bert,male\nsad/1.wav,anna,female\n"
EXPECTED = [("anna", {"gender": "female"}), ("bert", {"gender": "male"}), ("anna", {"gender": "female"})]


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (GOOD, EXPECTED),
        ("\ufeff" + GOOD.replace("\n", "\r\n"), EXPECTED),  # Excel writes it so
        (GOOD.replace("file,speaker,gender", " File , SPEAKER,Gender"), EXPECTED),
        (GOOD.replace("angry/", "angry\\"), EXPECTED),
        (GOOD.replace("angry/", "./angry/"), EXPECTED),
        (GOOD.replace("female", "Female"), EXPECTED),
        (GOOD.replace("anna,female", "anna"), [("anna", {}), EXPECTED[1], ("anna", {})]),
        ('speaker,file\n"a, b","sad/1.wav"\nc,angry/1.wav\nd,angry/2.wav\n', [("c", {}), ("d", {}), ("a, b", {})]),
    ],
)
def test_reads_tables_of_speakers(tmp_path: Path, table: str, expected: list[tuple[str, dict]]):
    found = summaries(speech_folder, with_table(tmp_path, table))
    assert [(group, extra) for _, _, group, extra in found] == expected


@pytest.mark.parametrize("prefix", ["", "data/"])
@pytest.mark.parametrize("name", ["speakers.csv", "data/speakers.csv", "data/Speakers.CSV"])
def test_rows_name_ids_or_whole_paths_in_any_table(tmp_path: Path, name: str, prefix: str):
    table = GOOD.replace("angry/", f"{prefix}angry/").replace("sad/", f"{prefix}sad/")
    files = {f"data/{path}": content for path, content in FILES.items()}
    found = summaries(speech_folder, with_table(tmp_path, table, files, name))
    assert [(group, extra) for _, _, group, extra in found] == EXPECTED


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (GOOD.replace("speaker,", "name,", 1), ["missing columns", "file,speaker[,gender]", "file,name,gender"]),
        ("", ["not a table"]),
        (GOOD + "fear/1.wav,bert,male\n", ["line 5", "no such clip", "angry/1.wav", "'fear/1.wav'"]),
        (GOOD + "angry/1.wav,bert,male\n", ["line 5", "different rows for one clip", "angry/1.wav"]),
        (GOOD.replace("sad/1.wav,anna,female\n", ""), ["a clip without a row", "one row per clip", "'sad/1.wav'"]),
        (GOOD.replace("bert", " "), ["line 3", "no speaker"]),
        (GOOD.replace(",male", ",mail"), ["line 3", "unknown gender", "female, male, or empty", "'mail'"]),
        (GOOD.encode("utf-16"), ["not a table in UTF-8"]),
        (GOOD + f'"{"x" * 140_000}', ["not a table", "inside string"]),
    ],
)
def test_refuses_invalid_tables(tmp_path: Path, table: str | bytes, words: list[str]):
    archive = with_table(tmp_path, table)
    assert len(one_line(lambda: speech_folder.read(archive), f"{archive}: speakers.csv", *words)) < 500


@pytest.mark.parametrize("rows", [GOOD, GOOD.replace("angry/1", "corpus/angry/1"), GOOD + GOOD.partition("\n")[2]])
def test_the_table_may_be_copied_too_and_name_copies(tmp_path: Path, rows: str):
    files = FILES | {f"corpus/{name}": content for name, content in FILES.items()}
    archive = with_table(tmp_path, rows, files | {"corpus/speakers.csv": rows.encode()})
    found = [(sample_id, group) for sample_id, _, group, _ in summaries(speech_folder, archive)]
    assert found == [("angry/1.wav", "anna"), ("angry/2.wav", "bert"), ("sad/1.wav", "anna")]


def test_refuses_copies_with_different_speakers(tmp_path: Path):
    files = {"anna/angry/1.wav": CLIP, "bert/angry/1.wav": CLIP, "bert/sad/1.wav": CLIP}
    archive = with_table(tmp_path, "file,speaker\n" + "".join(f"{name},{name[:4]}\n" for name in files), files)
    words = ["line 3", "different rows for one clip", "'bert/angry/1.wav'"]
    one_line(lambda: speech_folder.read(archive), f"{archive}: speakers.csv", *words)


@pytest.mark.parametrize(
    ("name", "word"), [("angri/3.wav", "Did you mean 'angry'?"), ("angry/anna/3.wav", "'anna'"), ("3.mp3", "")]
)
def test_refuses_one_clip_outside_the_emotions(tmp_path: Path, name: str, word: str):
    archive = corpus(tmp_path, [*FILES, name])
    one_line(lambda: speech_folder.read(archive), f"{archive}: {name}: unknown emotion folder", word)


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
def test_refuses_other_layouts(tmp_path: Path, names: list[str], words: list[str]):
    archive = corpus(tmp_path, names)
    one_line(lambda: speech_folder.read(archive), f"{archive}: not the layout of reader 'speech_folder'", *words)
