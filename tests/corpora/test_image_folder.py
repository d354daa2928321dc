"""RAF-DB's own layout, class folders named by number or word, and the decoding of colour images."""

import io
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from archive_files import make_zip, one_line
from PIL import Image

from stages.core.records import DamagedSample
from stages.corpora.archive.pack import pack
from stages.corpora.decoding.images import decode_image
from stages.corpora.image_folder import read, synthesise

# Codes in the papers on RAF-DB (1 to 7) and AffectNet (0 to 7)
RAF_DB = {1: "surprise", 2: "fear", 3: "disgust", 4: "happy", 5: "sad", 6: "angry", 7: "neutral"}
AFFECTNET = dict(enumerate(["neutral", "happy", "sad", "surprise", "fear", "disgust", "angry", "contempt"]))


def quarters(height: int = 40, width: int = 60) -> np.ndarray:
    """Return red and green above blue and white, so that every orientation looks different."""
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


def summaries(archive: Path) -> list[tuple[str, str, str | None]]:
    return [(record.sample_id, record.label, record.partition) for record in read(archive)]


ALIGNED = "basic/Image/aligned/{}_aligned.jpg"
LIST = "basic/EmoLabel/list_patition_label.txt"


def raf_db(tmp_path: Path, lines: list[str], stems: list[str], **more: bytes) -> Path:
    names = [ALIGNED.format(stem) for stem in stems]
    return make_zip(tmp_path / "raw.zip", {LIST: "\n".join(lines).encode()} | dict.fromkeys(names, IMAGE) | more)


def test_reads_the_official_layout(tmp_path: Path):
    stems = [f"train_{code:05d}" for code in RAF_DB] + ["test_0001"]
    lines = [f"train_{code:05d}.jpg {code}" for code in RAF_DB] + ["test_0001.jpg 4", ""]
    others = {"basic/Image/original/train_00001.jpg": IMAGE, "basic/Annotation/manual/train_00001.txt": b"1"}
    found = summaries(raf_db(tmp_path, lines, stems, **others))
    expected = [("test_0001", "happy", "test")]
    expected += [(f"train_{code:05d}", label, "train") for code, label in RAF_DB.items()]
    assert found == [(ALIGNED.format(stem), label, part) for stem, label, part in expected]


@pytest.mark.parametrize(
    ("lines", "stems", "words"),
    [
        (
            ["train_00001.jpg 1", "test_0001.jpg 3"],
            ["train_00001"],
            [LIST, "lists images", "first is test_0001"],
        ),
        (["train_00001.jpg 1"], ["train_00001", "test_0007"], [LIST, "does not list all", "the first is test_0007"]),
        (["train_00001.jpg 8"], ["train_00001"], ["line 1", "1 to 7", "'train_00001.jpg 8'"]),
        (["train_00001.jpg 1", "image.jpg 3"], ["train_00001"], ["line 2", "not an image and its class", "image.jpg"]),
        (["train_00001.jpg 1", "train_00001.jpg 2"], ["train_00001"], ["line 2", "an image that is listed twice"]),
    ],
)
def test_refuses_a_list_that_does_not_fit_the_images(tmp_path: Path, lines, stems, words):
    archive = raf_db(tmp_path, lines, stems)
    line = one_line(lambda: list(read(archive)), str(archive), *words)
    assert len(line) < 400


def test_refuses_images_with_one_name_in_two_folders(tmp_path: Path):
    names = ["basic/Image/aligned/train_00001_aligned.jpg", "old/aligned/train_00001_aligned.jpg"]
    archive = corpus(tmp_path, *names, **{LIST: b"train_00001.jpg 1\n"})
    one_line(lambda: list(read(archive)), str(archive), "images with the same name", "2 of train_00001")


@pytest.mark.parametrize("outer", ["", "DATASET/", "My faces (2)/images/"])
def test_reads_words_in_any_spelling(tmp_path: Path, outer: str):
    folders = ["Happy", "4_sad", "SURPRISED", "6-Anger", "07 neutral", "fearful", "Disgust", "contempt"]
    labels = ["happy", "sad", "surprise", "angry", "neutral", "fear", "disgust", "contempt"]
    names = [f"{outer}train/{folder}/1.jpg" for folder in folders]
    found = summaries(corpus(tmp_path, *names, **{"labels.csv": b"a,b\n"}))
    assert [row[:2] for row in found] == sorted(zip(names, labels, strict=True))


@pytest.mark.parametrize("codes", [RAF_DB, AFFECTNET])
def test_reads_numbers(tmp_path: Path, codes: dict[int, str]):
    names = [f"{part}/{code}/a.png" for code in codes for part in ("train", "test")]
    found = {sample_id: label for sample_id, label, _ in summaries(corpus(tmp_path, *names))}
    assert found == {f"{part}/{code}/a.png": label for code, label in codes.items() for part in ("train", "test")}


def test_part_is_the_innermost_folder_that_names_one(tmp_path: Path):
    names = {
        "test data/train/happy/1.jpg": "train",
        "test data/VAL/happy/1.jpg": "validation",
        "test data/Test/happy/1.jpg": "test",
        "train/valid/sad/1.jpg": "validation",
        "all/sad/1.jpg": None,
    }
    assert {sample_id: part for sample_id, _, part in summaries(corpus(tmp_path, *names))} == names


@pytest.mark.parametrize(
    ("file", "person"),
    [
        ("S010_004_00000017.png", "S010"),  # CK+
        ("s132_006_00000023_flipped.png", "S132"),
        ("AF01ANS.JPG", "F01"),  # KDEF: the same person in both sessions
        ("BF01HAHL.jpg", "F01"),
        ("bm35sufr.jpg", "M35"),
        ("KA.AN1.39.tiff", "KA"),  # JAFFE
        ("YM.HA2.53.jpg", "YM"),
        ("train_00001_aligned.jpg", None),  # RAF-DB
        ("Training_3908.jpg", None),  # FER-2013
        ("S1_004_00000017.png", None),
        ("AF01ANSI.JPG", None),
        ("AX01ANS.JPG", None),
        ("KA.AN1.x.tiff", None),
        ("S010_004_000000171.png", None),
    ],
)
def test_reads_the_person_from_file_names(tmp_path: Path, file: str, person: str | None):
    assert [record.group for record in read(corpus(tmp_path, f"happy/{file}"))] == [person]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["train/4/1.jpg", "train/happy/1.jpg"], ["two folders of class 'happy'", "train/4 and train/happy"]),
        (["3_happy/1.jpg", "4_happy/1.jpg"], ["two folders of class 'happy'"]),
        (["a/train/sad/1.jpg", "b/train/sad/1.jpg"], ["two folders of class 'sad'", "a/train/sad and b/train/sad"]),
        (["train/hapy/1.jpg"], ["train/hapy/1.jpg", "unknown class folder", "Did you mean 'happy'"]),
        (["train/8/1.jpg", "train/1/1.jpg"], ["train/8/1.jpg", "unknown class folder", "1, 2, 3"]),
        ([f"train/{code}/1.jpg" for code in range(7)], ["FER-2013 and AffectNet number", "0, 1, 2, 3, 4, 5, 6"]),
        (["train/happy/1.jpg", "train/sad/"], ["train/sad/", "empty class folder"]),
        (["readme.txt"], ["not the layout of reader 'image_folder'", "readme.txt"]),
        (["fer2013.csv"], ["not the layout of reader 'image_folder', but of reader 'fer2013'"]),
        (["basic/Image/aligned.zip"], ["not the layout", "unpacked", "aligned.zip"]),
    ],
)
def test_refuses_invalid_archives(tmp_path: Path, names: list[str], words: list[str]):
    archive = corpus(tmp_path, *names)
    line = one_line(lambda: list(read(archive)), str(archive), *words)
    assert len(line) < 500


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@pytest.mark.parametrize(
    ("orientation", "turned"),  # how the stored pixels must be turned: EXIF 2.3, table of Orientation
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
def test_turns_images_by_their_exif_orientation(form: str, orientation: int, turned):
    exif = Image.Exif()
    exif[0x112] = orientation
    found = decode_image(encoded(quarters(), form, exif=exif))[0]
    expected = turned(quarters())
    assert found.shape == expected.shape
    assert found.flags.c_contiguous
    inner = np.s_[4:16, 4:16], np.s_[4:16, -16:-4], np.s_[-16:-4, 4:16]
    assert all(np.abs(found[at].astype(int) - expected[at]).max() < 12 for at in inner)


@pytest.mark.filterwarnings("error")
def test_damaged_exif_leaves_the_image_unchanged():
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


def test_decodes_cmyk():
    found = decode_image(encoded(Image.fromarray(quarters()).convert("CMYK"), "JPEG", quality=95))[0]
    assert np.abs(found[4:16, 4:16].astype(int) - (220, 30, 30)).max() < 12
    assert np.abs(found[-16:-4, 4:16].astype(int) - (30, 40, 210)).max() < 12


def test_decodes_16_bits_per_channel():
    deep = quarters()[..., ::-1].astype(np.uint16) * 257  # OpenCV writes BGR
    found = decode_image(cv2.imencode(".png", deep)[1].tobytes())[0]
    np.testing.assert_array_equal(found, quarters())


def test_synthetic_corpus(tmp_path: Path):
    synthesise(tmp_path / "a", size=150, seed=5, size_px=100)
    pack(tmp_path / "a", tmp_path / "a.zip")
    found = list(read(tmp_path / "a.zip"))
    assert len(found) == 150
    assert found[0].sample_id.startswith("test/1_surprise/")
    assert 0.6 < Counter(record.partition for record in found)["train"] / 150 < 0.7
    counts = Counter(record.label for record in found)
    assert set(counts) == set(AFFECTNET.values())
    assert counts["happy"] > 2 * counts["fear"]
    assert {record.label for record in found if record.partition == "test"} == set(counts)
    image = found[0].load()[0]
    assert image.shape == (100, 100, 3)
    assert image.std() > 10
    assert len({record.content_hash() for record in found}) == 150
