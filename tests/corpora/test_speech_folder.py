"""Emotion folders in any spelling and nesting, copies, and tables of speakers."""

import random
import unicodedata
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
        (GOOD.replace(",", ";") + ";;\n", EXPECTED),
        (GOOD.replace(",", "\t"), EXPECTED),
        (GOOD.replace(",male", ",Unknown"), [EXPECTED[0], ("bert", {}), EXPECTED[2]]),
        (GOOD.replace(",male", ",n/a"), [EXPECTED[0], ("bert", {}), EXPECTED[2]]),
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
        (GOOD.replace(",male", ",mail"), ["line 3", "not a gender", "female, f, male, m, unknown, or empty", "'mail'"]),
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


@pytest.mark.parametrize(
    "names",
    [
        ["neu/1.wav", "hap/1.wav", "ang/1.wav", "sad/1.wav"],  # as copies of IEMOCAP are sorted
        ["Session1/neu/1.wav", "Session1/hap/1.wav", "Session2/neu/1.wav"],
        ["anger/01.wav", "joy/01.wav", "boredom/01.wav"],
    ],
)
def test_equal_names_in_different_emotions_are_different_clips(tmp_path: Path, names: list[str]):
    archive = make_zip(tmp_path / "raw.zip", {name: encoded(tone(0.05 + n / 100)) for n, name in enumerate(names)})
    assert [found[0] for found in summaries(speech_folder, archive)] == sorted(names)


@pytest.mark.parametrize("names", [["exc/1.wav", "fru/1.wav", "sad/1.wav"], ["sad/1.wav", "x/1.wav", "y/1.wav"]])
def test_unknown_emotions_are_the_reason_given(tmp_path: Path, names: list[str]):
    archive = make_zip(tmp_path / "raw.zip", {name: name.encode() for name in names})
    one_line(lambda: speech_folder.read(archive), f"{archive}: ", "unknown emotion folder", "class_names maps")


def test_class_names_map_folders(tmp_path: Path):
    archive = corpus(tmp_path, ["exc/1.wav", "Wut/2.wav", "fru/1.wav", "sad/1.wav"])
    found = speech_folder.read(archive, {"EXC": "happy", "wut": "angry", "fru": "ignore"})
    assert {record.sample_id: record.label for record in found} == {
        "exc/1.wav": "happy",
        "Wut/2.wav": "angry",
        "sad/1.wav": "sad",
    }


FORMS = {form: unicodedata.normalize(form, "angry/Zoë né.wav") for form in ("NFC", "NFD")}


@pytest.mark.parametrize("listed", FORMS)
@pytest.mark.parametrize("stored", FORMS)
@pytest.mark.parametrize("columns", ["file,speaker", "file,speaker,emotion"])
def test_composed_and_decomposed_names_are_the_same(tmp_path: Path, stored: str, listed: str, columns: str):
    table = f"{columns}\n{FORMS[listed]},anna,angry\nsad/1.wav,bert,sad\n"
    table = table if "emotion" in columns else table.replace(",angry\n", "\n").replace(",sad\n", "\n")
    files = {FORMS[stored]: CLIP, "sad/1.wav": CLIP}
    found = [
        (sample_id, group) for sample_id, _, group, _ in summaries(speech_folder, with_table(tmp_path, table, files))
    ]
    assert found == [(FORMS["NFC"], "anna"), ("sad/1.wav", "bert")]


def test_one_name_in_two_forms(tmp_path: Path):
    copies = make_zip(tmp_path / "copies.zip", dict.fromkeys(FORMS.values(), CLIP))
    assert [found[0] for found in summaries(speech_folder, copies)] == [FORMS["NFC"]]
    other = make_zip(tmp_path / "raw.zip", dict(zip(FORMS.values(), (CLIP, OTHER), strict=True)))
    one_line(lambda: speech_folder.read(other), "two different clips with one name")


# ---- one list of all clips ----

LISTED = {
    f"Session{s}/wav/{name}.wav": encoded(tone(0.05 + n / 100))
    for n, (s, name) in enumerate([(1, "a"), (1, "b"), (2, "a")])
}
LIST = """file,emotion,speaker,gender,part
Session1/wav/a.wav,neu,Ses01F,F,train
Session1/wav/b.wav,Happiness,Ses01M,male,dev
Session2/wav/a.wav,ang,Ses02F,,Test
"""
LIST_RECORDS = [
    ("Session1/wav/a.wav", "neutral", "Ses01F", "train", {"gender": "female"}),
    ("Session1/wav/b.wav", "happy", "Ses01M", "validation", {"gender": "male"}),
    ("Session2/wav/a.wav", "angry", "Ses02F", "test", {}),
]


def listed(archive: Path, notes: list[str] | None = None, **class_names: str) -> list[tuple]:
    records = speech_folder.read(archive, class_names, None if notes is None else notes.append)
    return [(r.sample_id, r.label, r.group, r.partition, r.extra) for r in records]


@pytest.mark.parametrize(
    "table",
    [
        LIST,
        "\ufeff" + LIST.replace("\n", "\r\n"),
        LIST.replace("/", "\\"),
        LIST + ",,,,\n\n,,,,\n",
        LIST + LIST.splitlines()[1] + "\n",
        LIST.replace("file,emotion,speaker,gender,part", "File, Emotion ,SPEAKER,gender,Part"),
    ],
)
@pytest.mark.parametrize("name", ["speakers.csv", "clips.csv", "Clips.CSV"])
def test_reads_a_list_whatever_the_folders_are(tmp_path: Path, table: str, name: str):
    notes = []
    assert listed(with_table(tmp_path, table, LISTED, name), notes) == LIST_RECORDS
    assert not notes


@pytest.mark.parametrize("outer", ["data/", "a/b c/"])
@pytest.mark.parametrize("prefix", ["", "outer"])
def test_rows_of_a_list_are_relative_to_it_or_whole_paths(tmp_path: Path, outer: str, prefix: str):
    table = LIST.replace("Session", f"{outer}Session") if prefix else LIST
    files = {f"{outer}{name}": content for name, content in LISTED.items()}
    assert listed(with_table(tmp_path, table, files, f"{outer}clips.csv")) == LIST_RECORDS


def test_clips_that_a_list_leaves_out_are_counted(tmp_path: Path):
    notes = []
    table = "file,emotion,speaker\nSession1/wav/a.wav,sad,x\nSession2/wav/a.wav,sad,y\n"
    found = listed(with_table(tmp_path, table, LISTED), notes)
    assert [row[:4] for row in found] == [
        ("Session1/wav/a.wav", "sad", "x", None),
        ("Session2/wav/a.wav", "sad", "y", None),
    ]
    [note] = notes
    assert "1 of 3 clips are left out" in note
    assert "Session1/wav/b.wav" in note


def test_class_names_map_the_emotions_of_a_list(tmp_path: Path):
    table = LIST.replace("neu", "fru").replace("Happiness", "exc")
    assert listed(with_table(tmp_path, table, LISTED), fru="ignore", exc="happy") == LIST_RECORDS[1:]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("neu", "fru"), ["line 2", "unknown emotion", "class_names", "'fru'"]),
        (("dev", "devel"), ["line 3", "unknown part", "train, validation, test", "'devel'"]),
        (("dev", ""), ["a clip without a part", "in every row, or in none", "Session1/wav/b.wav"]),
        (("Session2", "Session3"), ["line 4", "no such clip", "Session3/wav/a.wav"]),
        (("Ses01M", ""), ["line 3", "no speaker"]),
        (("Session1/wav/b", "Session1/wav/a"), ["line 3", "different rows for one clip"]),
        (("speaker", "who"), ["missing columns", "file,emotion,speaker[,gender][,part]"]),
    ],
)
def test_refuses_invalid_lists(tmp_path: Path, change: tuple[str, str], words: list[str]):
    archive = with_table(tmp_path, LIST.replace(*change), LISTED)
    one_line(lambda: listed(archive), f"{archive}: speakers.csv", *words)


def test_refuses_two_different_tables(tmp_path: Path):
    archive = make_zip(tmp_path / "raw.zip", LISTED | {"speakers.csv": LIST.encode(), "clips.csv": LIST.encode()})
    one_line(lambda: listed(archive), "two tables of the clips", "clips.csv")


@pytest.mark.parametrize("name", ["labels.csv", "meta/List.CSV"])
@pytest.mark.parametrize("header", ["file,emotion,speaker", "file;emotion", "speaker,file", "\ufeffFile, Emotion"])
def test_refuses_a_list_under_another_name(tmp_path: Path, name: str, header: str):
    archive = with_table(tmp_path, f"{header}\n", name=name)
    words = "a list of clips under another name", "allowed: speakers.csv or clips.csv", name
    one_line(lambda: list(speech_folder.read(archive)), *words)


def test_other_tables_are_no_lists(tmp_path: Path):
    archive = with_table(tmp_path, "day,weather\n", name="diary.csv")
    assert list(speech_folder.read(archive))
