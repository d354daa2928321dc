"""FER-2013 in every layout in circulation, invalid archives, and damaged samples. Image files are decoded, too."""

import csv
import io
import struct
import zipfile
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from archive_files import make_zip, one_line
from PIL import Image

from stages.core.records import DamagedSample
from stages.corpora.archive.pack import pack
from stages.corpora.decoding.images import decode_image
from stages.corpora.fer2013 import decode_pixels, missing, read, synthesise

REAL = Path(__file__).parents[2] / "../shared/data/fer2013_train_publictest.zip"
# Codes on the page of the Kaggle challenge
CODES = {0: "angry", 1: "disgust", 2: "fear", 3: "happy", 4: "sad", 5: "surprise", 6: "neutral"}


def gray(seed: int = 0, side: int = 48) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side), dtype=np.uint8)


def encoded(image: np.ndarray | Image.Image, form: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(stream, form, **options)
    return stream.getvalue()


def as_text(image: np.ndarray) -> str:
    return " ".join(str(value) for value in image.ravel())


def table(header: str, *rows: str) -> bytes:
    return ("\n".join([header, *rows]) + "\n").encode()


def corpus(tmp_path: Path, files: dict[str, bytes]) -> Path:
    return make_zip(tmp_path / "raw.zip", files)


def summaries(archive: Path) -> list[tuple[str, str | None]]:
    return [(record.label, record.partition) for record in read(archive)]


def images(*names: str) -> dict[str, bytes]:
    return {name: encoded(gray(number)) for number, name in enumerate(names)}


@pytest.mark.parametrize(
    ("name", "header", "row"),
    [
        ("fer2013.csv", "emotion,pixels,Usage", "{code},{pixels},{usage}"),
        ("fer2013/fer2013.csv", "emotion,pixels,Usage", "{code},{pixels},{usage}"),
        ("icml_face_data.csv", "emotion, Usage, pixels", "{code},{usage}, {pixels}"),
        ("icml_face_data.csv", '"emotion"," Usage"," pixels"', '{code},{usage},"{pixels}"'),
        ("fer2013.csv", "\ufeffemotion,pixels,Usage", "{code},{pixels},{usage}"),
        ("fer2013.csv", "emotion,pixels,Usage", "{code},{pixels},{usage}\r"),
    ],
)
def test_reads_tables(tmp_path: Path, name: str, header: str, row: str):
    usages = ["Training", "PublicTest", "PrivateTest", "Training", "Training", "Training", "PrivateTest"]
    rows = [row.format(code=code, pixels=as_text(gray(code)), usage=usages[code]) for code in CODES]
    found = list(read(corpus(tmp_path, {name: table(header, *rows)})))
    assert [(record.label, record.partition) for record in found] == list(zip(CODES.values(), usages, strict=True))
    assert len({record.sample_id for record in found}) == 7
    assert all(np.array_equal(record.load()[0], gray(code)) for code, record in enumerate(found))
    assert (found[0].load()[1], found[0].group) == (None, None)


def test_ignores_the_other_tables_of_the_kaggle_challenge(tmp_path: Path):
    whole = table("emotion, Usage, pixels", f"3,Training,{as_text(gray())}")
    files = {"icml_face_data.csv": whole, "test.csv": b"pixels\n1 2\n", "train.csv": b"emotion,pixels\n0,1 2\n"}
    assert summaries(corpus(tmp_path, files)) == [("happy", "Training")]


ROWS = [f"{code},{as_text(gray(code))},{usage}" for code, usage in enumerate(["Training", "PublicTest", "PrivateTest"])]
FER = table("emotion,pixels,Usage", *ROWS)
SPACED = table("emotion, Usage, pixels", *(",".join((a, c, b)) for a, b, c in (row.split(",") for row in ROWS)))
FER_PLUS = table("Usage,Image name,neutral,happiness,surprise,sadness", "Training,fer0000000.png,4,0,0,1")


@pytest.mark.parametrize(
    "files",
    [
        {"fer2013.csv": FER, "copy/fer2013.csv": FER},
        {"fer2013.csv": FER, "icml_face_data.csv": SPACED},  # the same rows, with the columns in another order
        {"fer2013.csv": FER, "fer2013 (1).csv": FER + b"\n,,\n"},
        {
            "fer2013/icml_face_data.csv": FER,
            "fer2013/train.csv": table("emotion,pixels", "5,1 2"),
        },  # Kaggle's challenge
        {"fer2013.csv": FER, ".ipynb_checkpoints/fer2013-checkpoint.csv": FER[:20_000], "cover.png": encoded(gray())},
    ],
)
def test_reads_tables_that_agree(tmp_path: Path, files: dict[str, bytes]):
    expected = [("angry", "Training"), ("disgust", "PublicTest"), ("fear", "PrivateTest")]
    assert summaries(corpus(tmp_path, files)) == expected


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"fer2013.csv": FER, "fer2013_clean.csv": FER.replace(b"\n1,", b"\n5,")}, ["from sample 2 on"]),
        ({"a/fer2013.csv": FER, "b/fer2013.csv": FER.replace(b"Public", b"Private")}, ["from sample 2 on", "a/fer"]),
        ({"fer2013.csv": FER, "my_fer2013.csv": table("emotion,pixels,Usage", *ROWS[:2])}, ["from sample 3 on"]),
        ({"fer2013.csv": FER, "FER2013_b.csv": FER.replace(b" 7 ", b" 8 ")}, ["from sample 1 on", "FER2013_b.csv"]),
        ({"fer2013.csv": FER, "fer2013_clean.csv": table("emotion,pixels", "5,1 2")}, ["a second table of labels"]),
        ({"fer2013.csv": FER, "x/my_FER2013.csv": table("id,Emotion", "0,5")}, ["a second table of labels"]),
        ({"fer2013.csv": FER, "fer2013new.csv": FER_PLUS}, ["labels of FER-2013 and of FER+", "fer2013new.csv"]),
        ({"train/sad/1.png": encoded(gray()), "x/fer2013new.csv": FER_PLUS}, ["FER+", "class folders", "x/fer2013new"]),
    ],
)
def test_refuses_tables_that_contradict_each_other(tmp_path: Path, files: dict[str, bytes], words: list[str]):
    archive = corpus(tmp_path, files)
    line = one_line(lambda: list(read(archive)), str(archive), *words)
    assert all(name in line for name in files if name.endswith(".csv"))


@pytest.mark.parametrize("blank", ["", ",,", " , ,", ",,,,,,,", '"","",""', "\t", "\r"])
@pytest.mark.parametrize("where", [0, 1, 3])
def test_blank_rows_are_no_samples(tmp_path: Path, blank: str, where: int):
    found = list(
        read(corpus(tmp_path, {"fer2013.csv": table("emotion,pixels,Usage", *ROWS[:where], blank, *ROWS[where:])}))
    )
    assert [record.label for record in found] == ["angry", "disgust", "fear"]
    assert all(np.array_equal(record.load()[0], gray(code)) for code, record in enumerate(found))


def test_reads_folders_with_official_prefixes(tmp_path: Path):
    names = ["test/angry/PrivateTest_1.jpg", "test/angry/PublicTest_2.jpg", "train/happy/Training_3.jpg"]
    found = list(read(corpus(tmp_path, images(*reversed(names)))))
    assert [record.sample_id for record in found] == names  # sorted, whatever the order in the archive
    assert [record.partition for record in found] == ["PrivateTest", "PublicTest", "Training"]
    assert [record.label for record in found] == ["angry", "angry", "happy"]


@pytest.mark.parametrize("wrapped", ["", "fer2013/", "archive/FER 2013/images/"])
def test_reads_folders_without_prefixes(tmp_path: Path, wrapped: str):
    names = ("test/sad/im0.png", "train/Angry/im0.png", "train/SURPRISED/im1.PNG", "val/neutral/im0.jpeg")
    found = summaries(corpus(tmp_path, images(*(wrapped + name for name in names))))
    assert found == [("sad", "test"), ("angry", "train"), ("surprise", "train"), ("neutral", "validation")]


def test_missing_faces_are_counted():
    whole = {"Training": 28_709, "PublicTest": 3_589, "PrivateTest": 3_589}
    assert sum(whole.values()) == 35_887
    assert missing(whole) == ""
    assert missing({"train": 28_709, "test": 7_178}) == ""  # folders without the prefix: `test` holds two parts
    assert "train 10 of 28,709, test 5 of 7,178" in missing({"train": 10, "test": 5})
    assert "PrivateTest 0 of 3,589" in missing({"Training": 28_709, "PublicTest": 3_589})


def test_synthetic_corpus_has_the_layout_of_the_real_one(tmp_path: Path):
    synthesise(tmp_path, size=100, seed=5)
    with (tmp_path / "fer2013.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    archive = corpus(tmp_path, {"fer2013.csv": (tmp_path / "fer2013.csv").read_bytes()})
    assert list(rows[0]) == ["emotion", "pixels", "Usage"]
    assert Counter(row["Usage"] for row in rows) == {"Training": 60, "PublicTest": 15, "PrivateTest": 25}
    found = list(read(archive))
    assert [record.label for record in found] == [CODES[int(row["emotion"])] for row in rows]
    counts = Counter(record.label for record in found)
    assert set(counts) == set(CODES.values())
    assert max(counts.values()) - min(counts.values()) <= 1
    assert all(record.load()[0].shape == (48, 48) for record in found)
    assert len({record.content_hash() for record in found}) == 100


GOOD_ROW = f"0,{as_text(gray())},Training"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({**images("train/happy/1.png"), "train/sad/": b""}, ["train/sad/", "empty class folder"]),
        (images("train/hapy/1.png"), ["train/hapy/1.png", "unknown class folder", "Did you mean 'happy'"]),
        (images("train/contempt/1.png"), ["unknown class folder", "allowed: angry, disgust, fear"]),
        ({"a.csv": table("emotion,pixels,Usage", GOOD_ROW, "9,1 2,Training")}, ["row 3", "allowed: 0 to 6", "'9'"]),
        ({"a.csv": table("emotion,pixels,Usage", "angry,1 2,Training")}, ["row 2", "unknown emotion code", "angry"]),
        (
            {"a.csv": table("emotion,pixels,Usage", "0,1 2,Trainig")},
            ["row 2", "unknown Usage", "PublicTest", "Trainig"],
        ),
        ({"a.csv": table("emotion,pixels,Usage", "0,1 2")}, ["row 2", "too few columns"]),
        ({"a.csv": table("emotion,pixels,Usage", f'0,"{as_text(gray())},Training', *[GOOD_ROW] * 20)}, ["a.csv"]),
        ({"Actor_01/03-01-01-01-01-01-01.wav": b"RIFF"}, ["not the layout of reader 'fer2013'", "Actor_01"]),
        ({"subjects.csv": b"subject,age\n1,20\n"}, ["not the layout of reader 'fer2013'", "subjects.csv"]),
        ({"a.csv": b"\xff\xfe\x00\x81" * 900}, ["not the layout of reader 'fer2013'"]),
    ],
)
def test_refuses_invalid_archives(tmp_path: Path, files: dict[str, bytes], words: list[str]):
    archive = corpus(tmp_path, files)
    line = one_line(lambda: list(read(archive)), str(archive), *words)
    assert len(line) < 500


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"1 2 3", "3 pixels; allowed: 2304"),
        (b"", "0 pixels"),
        (b"7 " * 2303 + b"x", "text among the pixels"),
        (b"7.5 " * 2304, "text among the pixels"),
        (b"7 " * 2303 + b"300", "outside 0 to 255"),
        (b"7 " * 2303 + b"-1", "outside 0 to 255"),
    ],
)
def test_reports_damaged_pixels(text: bytes, reason: str):
    with pytest.raises(DamagedSample, match=reason):
        decode_pixels(text)


def huge_png(side: int) -> bytes:
    """Return a PNG of a few bytes that states a height and width of `side` pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def animation(form: str) -> bytes:
    frames = [Image.fromarray(gray(seed)) for seed in range(3)]
    return encoded(frames[0], form, save_all=True, append_images=frames[1:])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "0 bytes"),
        (b"hello", "5 bytes starting 68656c6c6f"),
        (encoded(gray(), "JPEG")[:400], "not a whole JPEG, PNG"),
        (encoded(gray())[:900], "not a whole JPEG, PNG"),
        (animation("GIF"), "a GIF"),
        (animation("PNG"), "an animation of 3 frames"),
        (encoded(gray(), "BMP")[:900], "not a whole JPEG, PNG"),
        (huge_png(9_000), "9000x9000 pixels; allowed: 8192 a side"),
        (huge_png(48), "not a whole JPEG, PNG"),
    ],
)
def test_reports_damaged_images(data: bytes, reason: str):
    with pytest.raises(DamagedSample, match=reason):
        decode_image(data)


def test_changed_bytes_are_damaged_or_harmless():
    rng = np.random.default_rng(1)
    whole = [encoded(gray(side=12)), encoded(gray(side=12), "JPEG"), encoded(Image.fromarray(gray()).convert("P"))]
    outcomes = Counter()
    for number in range(600):
        data = bytearray(whole[number % 3])
        data[rng.integers(len(data))] = rng.integers(256)
        try:
            outcomes[decode_image(bytes(data))[0].dtype.name] += 1
        except DamagedSample:
            outcomes["damaged"] += 1
    assert set(outcomes) == {"uint8", "damaged"}


@pytest.mark.parametrize("mode", ["L", "1", "LA", "P", "RGB", "RGBA"])
def test_decodes_every_mode_of_png(mode: str):
    original = Image.fromarray(gray()).convert(mode)
    image = decode_image(encoded(original))[0]
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, np.asarray(original.convert("L" if mode in ("L", "1", "LA") else "RGB")))


def test_scales_16_bits_to_8():
    deep = gray().astype(np.uint16) * 257
    np.testing.assert_array_equal(decode_image(encoded(deep))[0], gray())


@pytest.mark.skipif(not REAL.exists(), reason="needs the real FER-2013 in ../shared/data")
def test_real_corpus(tmp_path: Path):
    pack(REAL, tmp_path / "faces.zip")
    found = list(read(tmp_path / "faces.zip"))
    with zipfile.ZipFile(REAL) as opened:
        images = [name for name in opened.namelist() if name.endswith(".jpg")]
    assert sorted(record.sample_id for record in found) == sorted(images)
    assert Counter(record.partition for record in found) == {"Training": 28_709, "PublicTest": 3_589}
    # counts in papers on FER-2013 for its training part
    published = {"angry": 3995, "disgust": 436, "fear": 4097, "happy": 7215, "sad": 4830, "surprise": 3171}
    training = Counter(record.label for record in found if record.partition == "Training")
    assert training == {**published, "neutral": 4965}
    for record in found[:: len(found) // 40]:
        image = record.load()[0]
        assert (image.shape, image.dtype) == ((48, 48), np.uint8)
        assert image.std() > 5


@pytest.mark.parametrize("names", [["train/sad/0.jpg"], ["train/happy/0.jpg", "test/angry/1.png"], ["happy/x.jpeg"]])
@pytest.mark.parametrize("table", ["fer2013.csv", "data/icml_face_data.csv"])
def test_refuses_a_table_beside_class_folders(tmp_path: Path, table: str, names: list[str]):
    archive = corpus(tmp_path, {table: FER, **dict.fromkeys(names, encoded(gray()))})
    one_line(lambda: list(read(archive)), "faces as a table and as class folders", table, sorted(names)[0])
