"""RAF-DB's own layout, folders of classes by number and word, and images in every state they come in."""

import io
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from archive_forms import make_zip, one_line
from PIL import Image

from stages.core.records import DamagedSample
from stages.corpora import fer2013
from stages.corpora.archive.pack import pack
from stages.corpora.decoding.images import decode_image
from stages.corpora.image_folder import missing, read, synthesise

# as the papers of RAF-DB (1 to 7) and AffectNet (0 to 7) print them
RAF_DB = {1: "surprise", 2: "fear", 3: "disgust", 4: "happy", 5: "sad", 6: "angry", 7: "neutral"}
AFFECTNET = {
    **{0: "neutral", 1: "happy", 2: "sad", 3: "surprise"},
    **{4: "fear", 5: "disgust", 6: "angry", 7: "contempt"},
}


def quarters(height: int = 40, width: int = 60) -> np.ndarray:
    """Red, green above blue, white: tells each turn from the others."""
    image = np.empty((height, width, 3), np.uint8)
    image[: height // 2, : width // 2], image[: height // 2, width // 2 :] = (220, 30, 30), (30, 200, 40)
    image[height // 2 :, : width // 2], image[height // 2 :, width // 2 :] = (30, 40, 210), (240, 240, 240)
    return image


def encoded(image: np.ndarray | Image.Image, form: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(stream, form, **options)
    return stream.getvalue()


IMAGE = encoded(quarters(), "JPEG")


def corpus(tmp_path: Path, *names: str, **files: bytes) -> Path:
    return make_zip(tmp_path / "raw.zip", dict.fromkeys(names, IMAGE) | files)


def seen(archive: Path) -> list[tuple[str, str, str | None]]:
    return [(record.sample_id, record.label, record.partition) for record in read(archive)]


# RAF-DB as its authors give it

ALIGNED = "basic/Image/aligned/{}_aligned.jpg"
LIST = "basic/EmoLabel/list_patition_label.txt"


def raf_db(tmp_path: Path, lines: list[str], stems: list[str], **more: bytes) -> Path:
    names = [ALIGNED.format(stem) for stem in stems]
    return make_zip(tmp_path / "raw.zip", {LIST: "\n".join(lines).encode()} | dict.fromkeys(names, IMAGE) | more)


def test_official_layout(tmp_path: Path):
    stems = [f"train_{code:05d}" for code in RAF_DB] + ["test_0001"]
    lines = [f"train_{code:05d}.jpg {code}" for code in RAF_DB] + ["test_0001.jpg 4", ""]
    others = {"basic/Image/original/train_00001.jpg": IMAGE, "basic/Annotation/manual/train_00001.txt": b"1"}
    found = seen(raf_db(tmp_path, lines, stems, **others))
    expected = [("test_0001", "happy", "test")]
    expected += [(f"train_{code:05d}", label, "train") for code, label in RAF_DB.items()]
    assert found == [(ALIGNED.format(stem), label, part) for stem, label, part in expected]


@pytest.mark.parametrize(
    ("lines", "stems", "words"),
    [
        (
            ["train_00001.jpg 1", "train_00002.jpg 2", "test_0001.jpg 3"],
            ["train_00001"],
            [LIST, "names images that are not there", "2 without, the first test_0001"],
        ),
        (
            ["train_00001.jpg 1"],
            ["train_00001", "test_0007"],
            [LIST, "lacks images that are there", "1 without, the first test_0007"],
        ),
        (["train_00001.jpg 8"], ["train_00001"], ["line 1", "1 to 7", "'train_00001.jpg 8'"]),
        (["train_00001.jpg 1", "image.jpg 3"], ["train_00001"], ["line 2", "not an image and its class", "image.jpg"]),
        (["train_00001.jpg 1", "train_00001.jpg 2"], ["train_00001"], ["line 2", "an image with two lines"]),
        (["train_00001.jpg 1"], [], ["names images that are not there", "1 without"]),  # aligned.zip left packed
    ],
)
def test_official_list_that_does_not_fit_its_images(tmp_path: Path, lines, stems, words):
    archive = raf_db(tmp_path, lines, stems)
    line = one_line(lambda: list(read(archive)), str(archive), *words)
    assert len(line) < 400


def test_official_images_in_two_folders(tmp_path: Path):
    """By their names alone nobody could tell which is meant."""
    inside = ["basic/Image/aligned/train_00001_aligned.jpg", "old/aligned/train_00001_aligned.jpg"]
    archive = corpus(tmp_path, *inside, **{LIST: b"train_00001.jpg 1\n"})
    one_line(lambda: list(read(archive)), str(archive), "images of one name", "2 of train_00001")


# Folders


@pytest.mark.parametrize("outer", ["", "DATASET/", "My faces (2)/images/"])
def test_words_in_any_spelling(tmp_path: Path, outer: str):
    folders = ["Happy", "4_sad", "SURPRISED", "6-Anger", "07 neutral", "fearful", "Disgust", "contempt"]
    labels = ["happy", "sad", "surprise", "angry", "neutral", "fear", "disgust", "contempt"]
    names = [f"{outer}train/{folder}/1.jpg" for folder in folders]
    found = {sample_id: label for sample_id, label, _ in seen(corpus(tmp_path, *names, **{"labels.csv": b"a,b\n"}))}
    assert found == dict(zip(names, labels, strict=True))
    assert list(found) == sorted(names)


@pytest.mark.parametrize("codes", [RAF_DB, AFFECTNET])
def test_bare_numbers(tmp_path: Path, codes: dict[int, str]):
    names = [f"{part}/{code}/a.png" for code in codes for part in ("train", "test")]
    found = {sample_id: label for sample_id, label, _ in seen(corpus(tmp_path, *names))}
    assert found == {f"{part}/{code}/a.png": label for code, label in codes.items() for part in ("train", "test")}


def test_parts_are_the_innermost_folder_that_names_one(tmp_path: Path):
    names = {
        "test data/train/happy/1.jpg": "train",
        "test data/VAL/happy/1.jpg": "validation",
        "test data/Test/happy/1.jpg": "test",
        "train/valid/sad/1.jpg": "validation",
        "all/sad/1.jpg": None,
    }
    assert {sample_id: part for sample_id, _, part in seen(corpus(tmp_path, *names))} == names


def test_a_class_with_one_image_is_read(tmp_path: Path):
    found = seen(corpus(tmp_path, "train/happy/1.jpg", "train/happy/2.jpg", "train/fear/1.jpg"))
    assert Counter(label for _, label, _ in found) == {"happy": 2, "fear": 1}
    assert missing({"train": 3}) == ""


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["train/4/1.jpg", "train/happy/1.jpg"], ["two folders of class 'happy'", "train/4 and train/happy"]),
        (["train/Happy/1.jpg", "train/happy/1.jpg"], ["two folders of class 'happy'", "one folder a class"]),
        (["3_happy/1.jpg", "4_happy/1.jpg"], ["two folders of class 'happy'"]),
        (["a/train/sad/1.jpg", "b/train/sad/1.jpg"], ["two folders of class 'sad'", "a/train/sad and b/train/sad"]),
        (["train/hapy/1.jpg"], ["train/hapy/1.jpg", "unknown class folder", "Did you mean 'happy'"]),
        (["train/8/1.jpg", "train/1/1.jpg"], ["train/8/1.jpg", "unknown class folder", "1, 2, 3"]),
        (["train/boredom/1.jpg"], ["unknown class folder", "allowed: surprise, fear"]),
        (["1.jpg"], ["1.jpg", "unknown class folder"]),
        ([f"train/{code}/1.jpg" for code in range(7)], ["FER-2013 and AffectNet count", "0, 1, 2, 3, 4, 5, 6"]),
        (["train/happy/1.jpg", "train/sad/"], ["train/sad/", "empty class folder"]),
        (["readme.txt"], ["not the layout of reader 'image_folder'", "readme.txt"]),
        (["fer2013.csv"], ["not the layout of reader 'image_folder', but of reader 'fer2013'"]),
        (["basic/Image/aligned.zip"], ["not the layout", "unpacked", "aligned.zip"]),
    ],
)
def test_refused_in_one_line(tmp_path: Path, names: list[str], words: list[str]):
    archive = corpus(tmp_path, *names)
    line = one_line(lambda: list(read(archive)), str(archive), *words)
    assert len(line) < 500


# Images among others of another kind


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@pytest.mark.parametrize(
    ("orientation", "turned"),  # what must be done to the stored pixels: EXIF 2.3, table of Orientation
    [
        (1, lambda image: image),
        (2, np.fliplr),
        (3, lambda image: np.rot90(image, 2)),
        (4, np.flipud),
        (5, lambda image: np.rot90(np.fliplr(image), 1)),
        (6, lambda image: np.rot90(image, -1)),
        (7, lambda image: np.rot90(np.fliplr(image), -1)),
        (8, lambda image: np.rot90(image, 1)),
    ],
)
def test_a_photo_taken_with_the_camera_turned_comes_upright(form: str, orientation: int, turned):
    exif = Image.Exif()
    exif[0x112] = orientation
    found = decode_image(encoded(quarters(), form, exif=exif))[0]
    expected = turned(quarters())
    assert found.shape == expected.shape
    assert found.flags.c_contiguous
    inner = np.s_[4:16, 4:16], np.s_[4:16, -16:-4], np.s_[-16:-4, 4:16]
    assert all(np.abs(found[at].astype(int) - expected[at]).max() < 12 for at in inner)


@pytest.mark.filterwarnings("error")
def test_a_damaged_header_leaves_the_picture_as_it_lies():
    exif = Image.Exif()
    exif[0x112], exif[0x10E] = 6, "a description"
    whole = encoded(quarters(), "JPEG", exif=exif)
    rng, shapes = np.random.default_rng(2), Counter()
    for _ in range(300):
        data = bytearray(whole)
        data[30 : 30 + 40] = rng.integers(0, 256, 40, dtype=np.uint8).tobytes()  # within the EXIF block
        try:
            shapes[decode_image(bytes(data))[0].shape] += 1
        except DamagedSample:
            shapes["damaged"] += 1
    assert shapes[(40, 60, 3)] > 250


def test_palette_of_colors():
    found = decode_image(encoded(Image.fromarray(quarters()).convert("P", palette=Image.Palette.ADAPTIVE)))[0]
    assert np.abs(found.astype(int) - quarters()).max() <= 8


def test_four_inks_become_the_colors_they_print():
    found = decode_image(encoded(Image.fromarray(quarters()).convert("CMYK"), "JPEG", quality=95))[0]
    assert np.abs(found[4:16, 4:16].astype(int) - (220, 30, 30)).max() < 12
    assert np.abs(found[-16:-4, 4:16].astype(int) - (30, 40, 210)).max() < 12


def test_sixteen_bits_a_channel():
    deep = quarters()[..., ::-1].astype(np.uint16) * 257  # OpenCV writes blue first
    found = decode_image(cv2.imencode(".png", deep)[1].tobytes())[0]
    np.testing.assert_array_equal(found, quarters())


def test_gray_among_color_stays_gray():
    gray = np.arange(1600, dtype=np.uint16).reshape(40, 40).astype(np.uint8)
    assert decode_image(encoded(gray))[0].shape == (40, 40)


# The drawn corpus


def drawn(folder: Path, size: int, seed: int) -> Path:
    folder.mkdir()
    synthesise(folder, size=size, seed=seed, size_px=100)
    pack(folder, folder.parent / f"{folder.name}.zip")
    return folder.parent / f"{folder.name}.zip"


def test_synthesised_corpus(tmp_path: Path):
    archive = drawn(tmp_path / "a", 150, 5)
    found = list(read(archive))
    assert len(found) == 150
    assert found[0].sample_id.startswith("test/1_surprise/")
    parts = Counter(record.partition for record in found)
    assert set(parts) == {"train", "test"}
    assert 0.6 < parts["train"] / 150 < 0.7
    counts = Counter(record.label for record in found)
    assert set(counts) == set(AFFECTNET.values())
    assert counts["happy"] > 2 * counts["fear"]
    assert {record.label for record in found if record.partition == "test"} == set(counts)
    image = found[0].load()[0]
    assert image.shape == (100, 100, 3)
    assert image.std() > 10
    assert len({record.content_hash() for record in found}) == 150


def test_synthesised_corpus_depends_on_the_seed_alone(tmp_path: Path):
    first, again, other = (drawn(tmp_path / name, 12, seed) for name, seed in (("a", 5), ("b", 5), ("c", 6)))
    assert first.read_bytes() == again.read_bytes() != other.read_bytes()


def test_a_folder_of_faces_named_by_words_is_read_by_both_readers_alike(tmp_path: Path):
    archive = corpus(tmp_path, "train/angry/1.jpg", "test/Sad/2.jpg")
    assert seen(archive) == [(record.sample_id, record.label, record.partition) for record in fer2013.read(archive)]
