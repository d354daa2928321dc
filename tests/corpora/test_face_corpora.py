"""Public corpora of faces whose labels are in file names or in files beside the images, with boxes cut out lazily."""

import io
import pickle
import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import yaml
from archive_files import make_folder, make_zip, one_line, run_stages
from PIL import Image

from stages.core.files import read_json
from stages.core.records import DamagedSample, Record
from stages.corpora import image_folder
from stages.corpora.archive import labels
from stages.corpora.archive.pack import pack
from stages.corpora.decoding.crops import decode_crop, pack_box
from stages.params.load import parse

AFFECTNET = ["neutral", "happy", "sad", "surprise", "fear", "disgust", "angry", "contempt"]
WIDTH, HEIGHT = 60, 40


def encoded(array: np.ndarray, form: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, form)
    return stream.getvalue()


# The red value of each pixel is its column, the green value its row.
GRID = np.dstack([*np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT)), np.zeros((HEIGHT, WIDTH))]).astype(np.uint8)
IMAGE = encoded(GRID)
JPEG = encoded(GRID, "JPEG")


def npy(value: object) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.asarray(value), allow_pickle=True)
    return stream.getvalue()


def archive_of(tmp_path: Path, files: Mapping[str, bytes | str]) -> Path:
    files = {name: content.encode() if isinstance(content, str) else content for name, content in files.items()}
    pack(make_zip(tmp_path / "source.zip", files), tmp_path / "raw.zip")
    return tmp_path / "raw.zip"


def read(tmp_path: Path, files: Mapping[str, bytes | str], class_names=None) -> tuple[list[Record], list[str]]:
    """Return the records and the notes; records are the same without notes, and can be sent to other processes."""
    archive, notes = archive_of(tmp_path, files), []
    records = list(image_folder.read(archive, class_names, notes.append))
    again = [pickle.loads(pickle.dumps(record)) for record in image_folder.read(archive, class_names)]
    assert [summary(record) for record in again] == [summary(record) for record in records]
    assert [record.content_hash() for record in again] == [record.content_hash() for record in records]
    return records, notes


def summary(record: Record) -> tuple[str, str, str | None]:
    return record.sample_id, record.label, record.partition


def corners(record: Record) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom (not included) of the part of `GRID` that was cut out."""
    image = record.load()[0]
    assert image.flags.c_contiguous
    left, top = image[0, 0, :2].tolist()
    right, bottom = image[-1, -1, :2].tolist()
    return left, top, right + 1, bottom + 1


# ---- labels in file names --------------------------------------------------------------------------------------------


KDEF = {
    "AF01AFS.JPG": ("fear", "F01", "straight"),
    "AF01ANHL.JPG": ("angry", "F01", "half left"),
    "AF02DIHR.JPG": ("disgust", "F02", "half right"),
    "AM03HAFL.JPG": ("happy", "M03", "full left"),
    "BM35NEFR.JPG": ("neutral", "M35", "full right"),
    "bm35sas.jpg": ("sad", "M35", "straight"),
    "BF01SUS.JPG": ("surprise", "F01", "straight"),
}
JAFFE = {
    "KA.AN1.39.tiff": ("angry", "KA"),
    "KL.DI2.17.jpg": ("disgust", "KL"),
    "YM.FE3.63.tiff": ("fear", "YM"),
    "KA.HA1.29.tiff.bmp": ("happy", "KA"),
    "TM.NE1.177.tiff": ("neutral", "TM"),
    "KR.SA2.78.png": ("sad", "KR"),
    "NA.SU1.211.tiff": ("surprise", "NA"),
}


@pytest.mark.parametrize("folder", ["KDEF_and_AKDEF/KDEF/{}/", "{}/", "", "faces/"])
def test_reads_kdef_from_its_file_names(tmp_path: Path, folder: str):
    names = {folder.format(file[:4].upper()) + file: fields for file, fields in KDEF.items()}
    records, notes = read(tmp_path, dict.fromkeys(names, JPEG))
    found = {record.sample_id: (record.label, record.group, record.extra["angle"]) for record in records}
    assert (found, notes) == (names, [])


@pytest.mark.parametrize("folder", ["", "jaffe/", "Data/jaffedbase/"])
def test_reads_jaffe_from_its_file_names(tmp_path: Path, folder: str):
    records, notes = read(tmp_path, {folder + file: JPEG for file in JAFFE} | {f"{folder}README": "JAFFE"})
    assert {record.sample_id[len(folder) :]: (record.label, record.group) for record in records} == JAFFE
    assert {tuple(record.extra) for record in records} == {()}
    assert "passed over 1 files: 1 without suffix" in notes[0]


def test_parts_around_named_files(tmp_path: Path):
    names = {"train/KA.AN1.39.tiff": "train", "val/x/KA.HA1.29.tiff": "validation", "KA.SA1.33.tiff": None}
    assert {row.sample_id: row.partition for row in read(tmp_path, dict.fromkeys(names, JPEG))[0]} == names


def test_names_without_an_emotion_are_counted(tmp_path: Path):
    files = dict.fromkeys(("AM31/AM31ANS.JPG", "AM31/AM31HAS.JPG", "AM31/AM31H.JPG"), JPEG)
    records, [note] = read(tmp_path, files)
    assert len(records) == 2
    assert "passed over 1 files: 1 .jpg (AM31/AM31H.JPG)" in note


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (["AF01/AF01ANS.JPG", "AF01/1.jpg", "AF01/2.jpg"], ["unknown class folder", "received: 'AF01'"]),
        (["AF01/AF01XXS.JPG"], ["AF01/AF01XXS.JPG", "unknown class folder"]),
        (["KA.AN1.tiff", "KA.AN2.tiff"], ["an image outside the class folders"]),
        (["S010/S010_004_00000017.png"], ["unknown class folder", "S010"]),  # CK+ names hold no emotion
    ],
)
def test_refuses_names_that_hold_no_emotion(tmp_path: Path, files: list[str], words: list[str]):
    archive = archive_of(tmp_path, dict.fromkeys(files, JPEG))
    assert len(one_line(lambda: list(image_folder.read(archive)), str(archive), *words)) < 500


@pytest.mark.parametrize(("folder", "count"), [("angry", 0), ("happy", 1), ("Anger", 0), ("sad", 1)])
def test_class_folders_hold_before_names_and_differences_are_told(tmp_path: Path, folder: str, count: int):
    records, notes = read(tmp_path, {f"{folder}/AF01ANS.JPG": JPEG, "fear/KA.FE1.45.tiff": JPEG})
    [label] = [record.label for record in records if record.sample_id == f"{folder}/AF01ANS.JPG"]
    assert label == {"Anger": "angry"}.get(folder, folder)
    assert {tuple(record.extra.items()) for record in records} == {(("angle", "straight"),), ()}
    expected = f"1 images are in the folder of another class than their names say; the first is {folder}/AF01ANS.JPG"
    assert len(notes) == count
    assert all(expected in note for note in notes)


def test_reads_ck48(tmp_path: Path):
    folders = ["anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise"]
    names = [f"CK+48/{folder}/S{11 + index:03}_004_0000001{index}.png" for index, folder in enumerate(folders)]
    records, notes = read(tmp_path, dict.fromkeys(names, JPEG))
    expected = ["angry", "contempt", "disgust", "fear", "happy", "sad", "surprise"]
    assert [record.label for record in records] == expected
    assert [record.group for record in records] == [f"S{11 + index:03}" for index in range(7)]
    assert notes == []


# ---- CK+ -------------------------------------------------------------------------------------------------------------

CK_PLUS = ["neutral", "angry", "contempt", "disgust", "fear", "happy", "sad", "surprise"]


def ck_plus(codes: Mapping[str, str], root: str = "", images: str = "cohn-kanade-images") -> dict[str, bytes | str]:
    """Two images of each sequence, of which the last has a label."""
    files = {}
    for sequence, text in codes.items():
        folder = sequence.replace("_", "/")
        files |= {f"{root}{images}/{folder}/{sequence}_0000000{frame}.png": IMAGE for frame in (1, 2)}
        files[f"{root}Emotion/{folder}/{sequence}_00000002_emotion.txt"] = text
    return files


@pytest.mark.parametrize(("root", "images"), [("", "cohn-kanade-images"), ("CK+/", "extended-cohn-kanade-images")])
def test_reads_the_labels_of_ck_plus(tmp_path: Path, root: str, images: str):
    codes = {f"S{10 + code:03}_00{code}": f"   {code}.0000000e+00\r\n" for code in range(8)}
    unlabelled = {f"{root}{images}/S099/001/S099_001_00000009.png": IMAGE}
    records, notes = read(tmp_path, ck_plus(codes, root, images) | unlabelled)
    assert [record.label for record in records] == CK_PLUS
    assert [record.group for record in records] == [f"S{10 + code:03}" for code in range(8)]
    assert {record.sample_id[-12:] for record in records} == {"00000002.png"}
    assert ["passed over 9 images without a label file" in note for note in notes] == [True]


def test_copies_of_labels_of_ck_plus_must_be_equal(tmp_path: Path):
    files = ck_plus({"S010_001": "1.0"})
    copy = "Emotion copy/S010/001/S010_001_00000002_emotion.txt"
    hidden = {"Emotion/.ipynb_checkpoints/S010_001_00000002_emotion.txt": "5.0"}
    records, notes = read(tmp_path, files | {copy: "1.0"} | hidden)
    assert [record.label for record in records] == ["angry"]
    assert "1 .txt" in notes[1]
    archive = archive_of(tmp_path, files | {copy: "5.0"})
    one_line(lambda: list(image_folder.read(archive)), "two labels of one image", copy)


def test_two_images_with_one_label_of_ck_plus_are_refused(tmp_path: Path):
    copy = {"copy/S010_001_00000002.jpg": JPEG}
    archive = archive_of(tmp_path, ck_plus({"S010_001": "1.0"}) | copy)
    one_line(lambda: list(image_folder.read(archive)), "two images with one label", "copy/S010_001_00000002.jpg")


def test_class_folders_hold_before_labels_of_ck_plus(tmp_path: Path):
    label = {"S010_004_00000017_emotion.txt": "6.0"}
    images = {"happy/S010_004_00000017.png": IMAGE, "sad/S011_004_00000018.png": IMAGE}
    assert [record.label for record in read(tmp_path, images | label)[0]] == ["happy", "sad"]


def test_class_names_map_numbers_of_ck_plus(tmp_path: Path):
    files = ck_plus({"S010_001": "2", "S010_002": "5", "S011_001": "6"})
    records, _ = read(tmp_path, files, {"2": "ignore", "5": "calm"})
    assert [record.label for record in records] == ["calm", "sad"]


@pytest.mark.parametrize("text", ["", "8.0", "-1", "happy", "1 2", "2.5", "nan"])
def test_refuses_a_label_of_ck_plus_that_is_unclear(tmp_path: Path, text: str):
    archive = archive_of(tmp_path, ck_plus({"S010_001": "1.0", "S010_002": text}))
    one_line(lambda: list(image_folder.read(archive)), "S010_002_00000002_emotion.txt: not the number of an emotion")


# ---- ExpW ------------------------------------------------------------------------------------------------------------

EXPW = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]


def expw(lines: str, *names: str) -> dict[str, bytes | str]:
    return {"ExpW/data/label/label.lst": lines} | {f"ExpW/data/image/origin/{name}": IMAGE for name in names}


def test_reads_expw(tmp_path: Path):
    lines = [f"face_{code}.jpg 0 {code} {2 * code} 50 35 52.4 {code}" for code in range(7)]
    lines += ["two faces.jpg 3 5 10 20 15 9.1 3", "two faces.jpg 1 0 0 60 40 20 4", ""]
    names = [*(f"face_{code}.jpg" for code in range(7)), "two faces.jpg", "unlisted.jpg"]
    records, notes = read(tmp_path, expw("\r\n".join(lines), *names) | {"ExpW/data/image/other/face_1.jpg": IMAGE})
    folder = "ExpW/data/image/origin"
    expected = [(f"{folder}/face_{code}.jpg#0", label, None) for code, label in enumerate(EXPW)]
    expected += [(f"{folder}/two faces.jpg#1", "sad", None), (f"{folder}/two faces.jpg#3", "happy", None)]
    assert [summary(record) for record in records] == expected
    found = [corners(record) for record in records]
    assert found == [*((2 * code, code, 50, 35) for code in range(7)), (0, 0, 60, 40), (10, 5, 20, 15)]
    assert len({record.content_hash() for record in records}) == 9
    assert len(notes) == 1
    assert "passed over 2 files: 2 .jpg" in notes[0]


@pytest.mark.parametrize(
    ("class_names", "expected"),
    [(None, ["happy", "neutral"]), ({"6": "ignore"}, ["happy"]), ({"3": "sad", "6": "calm"}, ["sad", "calm"])],
)
def test_class_names_map_numbers_of_expw(tmp_path: Path, class_names, expected: list[str]):
    files = expw("a.jpg 0 0 0 9 9 1 3\na.jpg 1 5 5 19 19 1 6\na.jpg 1  5 5 19 19 1 6", "a.jpg")
    assert [record.label for record in read(tmp_path, files, class_names)[0]] == expected


@pytest.mark.parametrize(
    ("lines", "names", "words"),
    [
        ("a.jpg 0 0 0 9 9 1 7", ["a.jpg"], ["line 1", "unknown expression_label", "0 angry, 1 disgust", "1 7"]),
        ("a.jpg 0 0 0 9 9 1 0\na.jpg 0 0 9 9 1 0", ["a.jpg"], ["line 2", "not a face and its class", "face_id_in"]),
        ("a.jpg 0 0 0 9 x 1 0", ["a.jpg"], ["line 1", "not a face and its class", "expression_label"]),
        ("a.jpg 0 0 0 9 nan 1 0", ["a.jpg"], ["line 1", "not a face and its class"]),
        ("a.jpg 0 0 0 9 9 1 0.5", ["a.jpg"], ["line 1", "not a face and its class"]),
        ("a.jpg -1 0 0 9 9 1 0", ["a.jpg"], ["line 1", "not a face and its class"]),
        ("\na.jpg 0 0 0 9 9 1 0\na.jpg 0 0 0 9 9 1 3", ["a.jpg"], ["line 3", "a face that is listed twice"]),
        ("a.jpg 0 0 0 9 9 1 0\nb.jpg 0 0 0 9 9 1 0", ["a.jpg"], ["line 2", "1 names without an image", "b.jpg"]),
        ("a.jpg 0 0 0 9 9 1 0", ["a.jpg", "x/origin/a.jpg"], ["images with the same name", "x/origin/a.jpg"]),
    ],
)
def test_refuses_an_expw_list_that_does_not_fit(tmp_path: Path, lines: str, names: list[str], words: list[str]):
    archive = archive_of(tmp_path, expw(lines, *names))
    line = one_line(lambda: list(image_folder.read(archive)), str(archive), *words)
    assert len(line) < 400


# ---- boxes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("box", "relative", "expected"),
    [
        ((3, 4, 30, 31), False, (3, 4, 30, 31)),
        ((-2, -1, 30, 31), False, (0, 0, 30, 31)),
        ((40, 20, 63, 42), False, (40, 20, 60, 40)),
        ((0, 0, 1, 1), True, (0, 0, 60, 40)),
        ((0.5, 0.25, 1.0000001, 0.75), True, (30, 10, 60, 30)),
        ((0.1, 0.1, 0.12, 0.13), True, (6, 4, 7, 5)),
    ],
)
def test_cuts_out_a_box(box, relative: bool, expected):
    image, rate_hz = decode_crop(pack_box(*box, relative=relative) + IMAGE)
    left, top, right, bottom = expected
    np.testing.assert_array_equal(image, GRID[top:bottom, left:right])
    assert (rate_hz, image.flags.c_contiguous) == (None, True)


@pytest.mark.parametrize(
    ("box", "relative"),
    [
        ((100, 0, 140, 40), False),
        ((-50, 0, -10, 40), False),
        ((30, 20, 90, 60), False),
        ((30, 20, 30, 40), False),
        ((30, 20, 10, 40), False),
        ((0, 0, 1e300, 1e300), False),
        ((0.2, 0.2, 0.201, 0.9), True),
        ((0.9, 0.2, 1.4, 0.9), True),
    ],
)
def test_a_box_out_of_the_image_is_damage(box, relative: bool):
    with pytest.raises(DamagedSample, match=r"face box with left .* inside the image of 60x40 pixels"):
        decode_crop(pack_box(*box, relative=relative) + IMAGE)


def test_a_damaged_image_is_damage():
    with pytest.raises(DamagedSample, match="not a whole"):
        decode_crop(pack_box(0, 0, 1, 1, relative=True) + IMAGE[:60])


# ---- YOLO ------------------------------------------------------------------------------------------------------------

NAMES = "nc: 8\nnames: [Anger, Contempt, Disgust, Fear, Happy, Neutral, Sad, Surprise]\n"


def test_reads_affectnet_in_yolo_format(tmp_path: Path):
    files = {"YOLO_format/data.yaml": NAMES}
    for part in ("train", "valid", "test"):
        files |= {f"YOLO_format/{part}/images/{part}.{code}.png": IMAGE for code in range(8)}
        files |= {f"YOLO_format/{part}/labels/{part}.{code}.txt": f"{code} 0.5 0.5 1.0 0.5\n" for code in range(8)}
    records, notes = read(tmp_path, files)
    expected = ["angry", "contempt", "disgust", "fear", "happy", "neutral", "sad", "surprise"]
    assert [record.label for record in records] == 3 * expected
    assert Counter(record.partition for record in records) == {"train": 8, "validation": 8, "test": 8}
    assert {corners(record) for record in records} == {(0, 10, 60, 30)}
    assert records[0].sample_id == "YOLO_format/test/images/test.0.png"
    assert "number labels are read as 0 angry, 1 contempt" in notes[0]
    assert "(YOLO_format/data.yaml)" in notes[0]
    assert len(notes) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 .25 .5 .5 1\n4 .75 .5 .5 1\n", [("#1", "angry", (0, 0, 30, 40)), ("#2", "happy", (30, 0, 60, 40))]),
        ("4 .5 .5 1 1\n4 .5 .5 1 1", [("", "happy", (0, 0, 60, 40))]),  # the same face twice
        ("\ufeff6.0\t.5\t.5\t.5\t.5\r\n\r\n", [("", "sad", (15, 10, 45, 30))]),
        ("5 .1 .25 .5 .25 .5 .75 .1 .75", [("", "neutral", (6, 10, 30, 30))]),  # a polygon
        ("7 .5 .5 1.00004 1", [("", "surprise", (0, 0, 60, 40))]),
        ("1 .5 .5 1 1", [("", "contempt", (0, 0, 60, 40))]),
    ],
)
@pytest.mark.parametrize("form", ["train/{}/a.b{}", "{}/train/x/a.b{}", "images/train/{}/a.b{}"])
def test_reads_label_files_of_yolo(tmp_path: Path, form: str, text: str, expected):
    image = form.format("images", ".jpg")
    records, _ = read(tmp_path, {image: IMAGE, form.format("labels", ".txt"): text, "data.yaml": NAMES})
    found = [(record.sample_id.removeprefix(image), record.label, corners(record)) for record in records]
    assert found == expected
    assert {record.partition for record in records} == {"train"}


def test_images_without_a_face_are_counted(tmp_path: Path):
    files = {f"train/images/{name}.jpg": IMAGE for name in "abc"} | {"data.yaml": NAMES}
    files |= {"train/labels/a.txt": "0 .5 .5 1 1", "train/labels/b.txt": "\n", "train/labels/x.txt": "0 .5 .5 1 1"}
    records, notes = read(tmp_path, files)
    assert [record.sample_id for record in records] == ["train/images/a.jpg"]
    told = "\n".join(notes)
    assert "passed over 1 images without a label file, the first is train/images/c.jpg" in told
    assert "passed over 1 images with an empty label file, the first is train/images/b.jpg" in told
    assert "passed over 1 files: 1 .txt (train/labels/x.txt)" in told
    ids = [record.sample_id for record in records]
    assert labels.passed_over(tmp_path / "raw.zip", ids) == {".jpg": 2, ".txt": 2, ".yaml": 1}


@pytest.mark.parametrize("file", ["classes.txt", "labels.txt", "train/labels/classes.txt", "data.yaml"])
def test_names_of_yolo_count_from_0(tmp_path: Path, file: str):
    names = "names: [sad, happy, fear]" if file == "data.yaml" else "sad\nhappy\nfear\n"
    files = {"train/images/a.jpg": IMAGE, "train/labels/a.txt": "2 .2 .5 .4 1\n1 .8 .5 .4 1", file: names}
    assert [record.label for record in read(tmp_path, files)[0]] == ["fear", "happy"]


@pytest.mark.parametrize(
    ("names", "class_names", "expected"),
    [
        ("names:\n  0: Wut\n  1: Freude\n", {"wut": "angry", "Freude": "happy"}, ["angry", "happy"]),
        ("names: [angry, Ahegao]\n", {"Ahegao": "ignore"}, ["angry"]),
        (None, {"0": "sad", "1": "fear"}, ["sad", "fear"]),
        ("names: [angry, happy]\n", {"0": "sad", "1": "ignore"}, ["sad"]),
    ],
)
def test_class_names_map_labels_of_yolo(tmp_path: Path, names: str | None, class_names, expected: list[str]):
    files = {"images/a.jpg": IMAGE, "labels/a.txt": "0 .2 .5 .4 1\n1 .8 .5 .4 1"}
    records, _ = read(tmp_path, files | ({"data.yaml": names} if names else {}), class_names)
    assert [record.label for record in records] == expected


@pytest.mark.parametrize(
    ("text", "names", "words"),
    [
        ("0 .5 .5 1", NAMES, ["labels/a.txt line 1", "not a class and a box", "'0 .5 .5 1'"]),
        ("\n0 .5 .5 1 1 .9", NAMES, ["labels/a.txt line 2", "not a class and a box"]),
        ("happy .5 .5 1 1", NAMES, ["line 1", "not a class and a box", "allowed: class number"]),
        ("-1 .5 .5 1 1", NAMES, ["line 1", "not a class and a box"]),
        ("0.5 .5 .5 1 1", NAMES, ["line 1", "not a class and a box"]),
        ("0 .5 .5 1 inf", NAMES, ["line 1", "not a class and a box"]),
        ("0 30 20 60 40", NAMES, ["line 1", "coordinates outside of the image", "0 to 1", "'0 30 20 60 40'"]),
        ("8 .5 .5 1 1", NAMES, ["data.yaml", "no name for label 8", "7 Surprise"]),
        ("0 .5 .5 1 1", "", ["YOLO labels without names", "data.yaml", "class_names", "classes 0"]),
        ("0 .5 .5 1 1", "names: [Wut]", ["data.yaml", "unknown class of 0", "class_names", "'Wut'"]),
        ("0 .5 .5 1 1", "names: 3", ["data.yaml", "no list of classes"]),
    ],
)
def test_refuses_labels_of_yolo_that_are_unclear(tmp_path: Path, text: str, names: str, words: list[str]):
    files = {"images/a.jpg": IMAGE, "labels/a.txt": text} | ({"data.yaml": names} if names else {})
    archive = archive_of(tmp_path, files)
    assert len(one_line(lambda: list(image_folder.read(archive)), str(archive), *words)) < 500


def test_class_folders_hold_before_labels_of_boxes(tmp_path: Path):
    files = {"images/happy/a.jpg": IMAGE, "images/sad/a.jpg": IMAGE, "labels/happy/a.txt": "0 .5 .5 1 1"}
    records, [note] = read(tmp_path, files)
    assert [(record.label, corners(record)) for record in records] == [(x, (0, 0, 60, 40)) for x in ("happy", "sad")]
    assert "1 .txt (labels/happy/a.txt)" in note


# ---- AffectNet -------------------------------------------------------------------------------------------------------


def test_reads_affectnet_from_class001_on(tmp_path: Path):
    names = [f"AffectNet/{part}/class{code:03}/a.jpg" for part in ("train", "val_class") for code in range(1, 9)]
    records, [note] = read(tmp_path, dict.fromkeys(names, JPEG))
    assert [record.label for record in records] == 2 * AFFECTNET
    assert [record.partition for record in records] == 8 * ["train"] + 8 * ["validation"]
    assert "class001 neutral, class002 happy, class003 sad" in note
    assert "class_names" in note


@pytest.mark.parametrize(
    ("names", "class_names", "words"),
    [
        (["class000/a.jpg", "class001/a.jpg"], None, ["class000/a.jpg", "unknown class folder"]),
        (["class001/a.jpg", "class009/a.jpg"], None, ["class009/a.jpg", "unknown class folder"]),
        (["class1/a.jpg"], None, ["class1/a.jpg", "unknown class folder"]),
        (["a/class002/a.jpg", "b/class002/a.jpg"], None, ["two folders of class 'happy'", "b/class002"]),
        (["class002/a.jpg", "happy/a.jpg"], None, ["two folders of class 'happy'"]),
    ],
)
def test_refuses_other_class_numbers(tmp_path: Path, names: list[str], class_names, words: list[str]):
    archive = archive_of(tmp_path, dict.fromkeys(names, JPEG))
    one_line(lambda: list(image_folder.read(archive, class_names)), str(archive), *words)


def test_class_names_map_class001(tmp_path: Path):
    records, notes = read(tmp_path, dict.fromkeys(("class001/a.jpg", "class002/a.jpg"), JPEG), {"CLASS001": "sad"})
    assert [record.label for record in records] == ["sad", "happy"]
    assert "folders are read as class002 happy" in notes[0]


def affectnet(values: Mapping[str, object]) -> dict[str, bytes]:
    """Return the files of images with these labels, beside the other annotations."""
    files = {}
    for name, value in values.items():
        part, number = name.split("/")
        files |= {f"{part}_set/images/{number}.jpg": IMAGE, f"{part}_set/annotations/{number}_exp.npy": npy(value)}
        files |= {f"{part}_set/annotations/{number}_{kind}.npy": npy(0.5) for kind in ("aro", "val", "lnd")}
    return files


FORMS = [str, int, float, np.uint8, np.float32, lambda code: [code], lambda code: np.bytes_(str(code))]


@pytest.mark.parametrize("form", FORMS)
def test_reads_affectnet_from_npy(tmp_path: Path, form):
    files = affectnet({f"{part}/{code}": form(code) for part in ("train", "val") for code in range(8)})
    records, [note] = read(tmp_path, files)
    expected = [(f"train_set/images/{code}.jpg", label, "train") for code, label in enumerate(AFFECTNET)]
    expected += [(f"val_set/images/{code}.jpg", label, "validation") for code, label in enumerate(AFFECTNET)]
    assert [summary(record) for record in records] == expected
    assert "passed over 48 files: 48 .npy (train_set/annotations/0_aro.npy)" in note
    np.testing.assert_array_equal(records[0].load()[0], GRID)
    ids = [record.sample_id for record in records]
    assert labels.passed_over(tmp_path / "raw.zip", ids) == {".npy": 48}


def test_labels_of_no_class_are_counted(tmp_path: Path):
    values = {"train/0": "0", "train/1": "8", "train/2": "10", "train/3": 9, "train/4": "8", "train/5": "1"}
    records, notes = read(tmp_path, affectnet(values) | {"train_set/images/6.jpg": IMAGE})
    assert [record.label for record in records] == ["neutral", "happy"]
    told = "\n".join(notes)
    assert "labelled as no class: 2 none, 1 uncertain, 1 no face" in told
    assert "passed over 1 images without a label file, the first is train_set/images/6.jpg" in told


def test_class_names_map_labels_of_affectnet(tmp_path: Path):
    files = affectnet({"train/0": "0", "train/1": "8", "train/2": "1"})
    records, _ = read(tmp_path, files, {"8": "neutral", "0": "ignore"})
    assert [record.label for record in records] == ["neutral", "happy"]


class Evil:
    def __reduce__(self):
        return print, ("unpickled",)


@pytest.mark.parametrize(
    ("content", "received"),
    [
        (npy("11"), "11"),
        (npy(-1), "-1"),
        (npy("happy"), "'happy'"),
        (npy(0.5), "'0.5'"),
        (npy(np.nan), "'nan'"),
        (npy([1, 2]), "an array (2,) of type int64"),
        (npy([]), "an array (0,) of type float64"),
        (npy(np.array(Evil(), dtype=object)), "an array () of type object"),
        (npy("1")[:-2], "2 bytes of one <U1"),
        (npy("1") + b"x", "5 bytes of one <U1"),
        (b"", "damaged header"),
        (b"3\n", "damaged header"),
        (npy("1").replace(b"<U1", b"<U\xff"), "damaged header"),
        (npy("1").replace(b"'<U1', ", b"'<U999999999999', ", 1), "damaged header"),
    ],
)
def test_refuses_annotations_that_are_unclear(tmp_path: Path, capsys, content: bytes, received: str):
    files = affectnet({"train/0": "0"}) | {"train_set/annotations/0_exp.npy": content}
    archive = archive_of(tmp_path, files)
    where = f"{archive}: train_set/annotations/0_exp.npy: not an expression; allowed: one number, 0 to 7"
    line = one_line(lambda: list(image_folder.read(archive)), where, received)
    assert len(line) < 400
    assert capsys.readouterr().out == ""


def test_a_long_annotation_is_not_read(tmp_path: Path):
    files = affectnet({"train/0": "0"}) | {"train_set/annotations/0_exp.npy": bytes(2 << 20)}
    archive = archive_of(tmp_path, files)
    one_line(lambda: list(image_folder.read(archive)), "train_set/annotations/0_exp.npy", "too big")


def test_annotations_are_read_one_by_one(tmp_path: Path):
    """A fault in the last file does not show before its image."""
    files = affectnet({f"train/{code}": str(code) for code in range(8)} | {"train/9": "x"})
    records = image_folder.read(archive_of(tmp_path, files))
    assert [next(records).label for _ in range(8)] == AFFECTNET
    one_line(lambda: next(records), "9_exp.npy")
    assert zipfile.is_zipfile(tmp_path / "raw.zip")


# ---- through the stages ----------------------------------------------------------------------------------------------


def noise(seed: int) -> bytes:
    return encoded(np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8))


def kdef_files() -> dict[str, bytes | str]:
    names = [f"A{sex}{n:02}{code}S" for sex in "FM" for n in range(1, 7) for code in ("AN", "HA")]
    return {f"{name[:4]}/{name}.JPG": noise(seed) for seed, name in enumerate(names)}


def expw_files() -> dict[str, bytes | str]:
    """Two faces per image, of which one box is out of its image."""
    boxes = [f"{n}.jpg {face} 0 {30 * face} {30 * face + 30} 40 9 {3 * face}" for n in range(12) for face in (0, 1)]
    lines = "\n".join([*boxes, "0.jpg 2 900 900 990 990 9 3"])
    return {"label.lst": lines} | {f"origin/{n}.jpg": noise(n) for n in range(12)}


def yolo_files() -> dict[str, bytes | str]:
    images = {f"train/images/{n}.jpg": noise(n) for n in range(12)}
    text = "0 .25 .5 .5 1\n4 .75 .5 .5 1\n"
    return images | {f"train/labels/{n}.txt": text for n in range(12)} | {"data.yaml": NAMES}


def ck_plus_files() -> dict[str, bytes | str]:
    """Twelve people, the apex of one angry and one happy sequence of each, and the first image of one of them."""
    names = [f"S{n:03}_00{code}_00000010" for n in range(1, 13) for code in (1, 5)]
    files = {f"images/{name}.png": noise(seed) for seed, name in enumerate(names)}
    return files | {f"e/{name}_emotion.txt": f"{name[7]}.0" for name in names} | {"images/S001_001_00000001.png": IMAGE}


def npy_files() -> dict[str, bytes | str]:
    images = {f"train_set/images/{n}.jpg": noise(n) for n in range(26)}
    codes = ["1", "6", "8"]
    return images | {f"train_set/annotations/{n}_exp.npy": npy(codes[n % 2 if n < 24 else 2]) for n in range(26)}


@pytest.mark.parametrize(
    ("files", "told", "passed_over"),
    [
        (kdef_files(), [], {}),
        (expw_files(), ["1 damaged samples left out: origin/0.jpg#2: a face box"], {".lst": 1}),
        (yolo_files(), ["0 angry, 4 happy (data.yaml)"], {".yaml": 1}),
        (ck_plus_files(), ["passed over 1 images without a label file"], {".png": 1}),
        (npy_files(), ["labelled as no class: 2 none"], {".jpg": 2, ".npy": 2}),
    ],
)
def test_every_stage_reads_it(tmp_path: Path, monkeypatch, capsys, files, told: list[str], passed_over: dict[str, int]):
    content = parse((Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8"))
    source, inputs = tmp_path / "source", tmp_path / "params.yaml"
    make_folder(source, {name: text if isinstance(text, bytes) else text.encode() for name, text in files.items()})
    content["corpora"]["portraits"] |= {"source": str(source), "name": "own", "classes": ["happy", "angry"]}
    content["splits"]["portraits"] |= {"protocol": "stratified"}
    content["prepare"]["max_rejected_fraction"] = 0.1
    inputs.write_text(yaml.safe_dump(content), encoding="utf-8")
    run_stages("portraits", inputs, monkeypatch)
    found = read_json(tmp_path / "split.json")
    printed = capsys.readouterr()
    assert [words for words in told if words not in printed.err] == []
    assert "x.h5: 24 samples" in printed.out
    assert found["audit"]["passed_over"] == passed_over
    # two faces of one image are not two copies of it
    assert found["audit"]["duplicate_ids"] == found["audit"]["label_conflict_ids"] == []
