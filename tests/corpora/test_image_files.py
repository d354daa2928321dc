"""Image files in the wild: every common format, what is passed over, and what the names of folders mean."""

import io
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import yaml
from archive_files import make_folder, make_zip, one_line, run_stages
from PIL import Image

from stages.core.files import read_json
from stages.core.records import DamagedSample
from stages.corpora import fer2013, image_folder
from stages.corpora.archive.pack import pack
from stages.corpora.decoding.images import DECODED, decode_image
from stages.params.load import parse

AFFECTNET = ["neutral", "happy", "sad", "surprise", "fear", "disgust", "angry", "contempt"]


def picture(seed: int = 0) -> Image.Image:
    """Return a smooth colour image, which every lossy format keeps nearly unchanged."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(40, 216, (4, 6, 3), dtype=np.uint8))
    return small.resize((60, 40), Image.Resampling.BICUBIC)


def encoded(form: str, image: Image.Image | None = None, **options: object) -> bytes:
    if form == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    stream = io.BytesIO()
    (image or picture()).save(stream, form, **options)
    return stream.getvalue()


JPEG = encoded("JPEG", quality=95)


def read(reader, tmp_path: Path, files: dict[str, bytes] | list[str], class_names: Mapping[str, str] | None = None):
    """Return ([(sample id, label, part)], notes) of an archive packed as `download` packs it."""
    if isinstance(files, list):
        files = dict.fromkeys(files, JPEG)
    archive, notes = tmp_path / "raw.zip", []
    pack(make_zip(tmp_path / "source.zip", files), archive)
    records = list(reader.read(archive, class_names, notes.append))
    assert [record.sample_id for record in reader.read(archive, class_names)] == [row.sample_id for row in records]
    return [(record.sample_id, record.label, record.partition) for record in records], notes


# ---- formats ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("JPEG", {"quality": 95}),
        ("PNG", {}),
        ("BMP", {}),
        ("WEBP", {"quality": 95}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "tiff_deflate"}),
        ("TIFF", {"compression": "jpeg"}),
        ("TIFF", {"big_tiff": True}),
        ("HEIF", {"quality": 95}),
    ],
)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_decodes_every_common_format(form: str, options: dict, mode: str):
    image = picture().convert(mode)
    found, rate_hz = decode_image(encoded(form, image, **options))
    expected = np.asarray(image)
    if mode == "L" and found.ndim == 3:  # WebP and HEIC have no grey
        expected = np.repeat(expected[..., None], 3, axis=2)
    assert (found.shape, found.dtype, rate_hz, found.flags.c_contiguous) == (expected.shape, np.uint8, None, True)
    assert np.abs(found.astype(int) - expected).mean() < 4


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_turns_every_format_by_its_orientation(form: str, orientation: int):
    exif = Image.Exif()
    exif[0x112] = orientation
    data = encoded(form, exif=exif, **({} if form == "TIFF" else {"quality": 95}))
    turns = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE"}
    turns |= {6: "ROTATE_270", 7: "TRANSVERSE", 8: "ROTATE_90"}
    turned = picture().transpose(Image.Transpose[turns[orientation]]) if orientation in turns else picture()
    found = decode_image(data)[0]
    assert found.shape == np.asarray(turned).shape
    assert np.abs(found.astype(int) - np.asarray(turned)).mean() < 4


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (encoded("GIF"), "not a whole .* image .a GIF"),
        (encoded("TIFF")[:900], "not a whole"),
        (encoded("WEBP")[:-40], "not a whole"),
        (encoded("BMP")[:900], "not a whole"),
        (encoded("TIFF", save_all=True, append_images=[picture(1)]), "an animation of 2 frames or pages"),
        (encoded("WEBP", save_all=True, append_images=[picture(1)]), "an animation of 2 frames or pages"),
    ],
)
def test_reports_images_that_are_not_decoded(data: bytes, reason: str):
    with pytest.raises(DamagedSample, match=reason):
        decode_image(data)


@pytest.mark.parametrize("form", ["BMP", "WEBP", "TIFF", "HEIF"])
def test_changed_bytes_are_damaged_or_harmless(form: str):
    rng = np.random.default_rng(3)
    whole = encoded(form, picture().resize((16, 12)))
    for _ in range(300):
        data = bytearray(whole)
        for at in rng.integers(0, min(len(data), 400), 3):
            data[at] = rng.integers(256)
        with suppress(DamagedSample):
            assert decode_image(bytes(data))[0].dtype == np.uint8


@pytest.mark.parametrize("reader", [fer2013, image_folder])
def test_reads_images_under_every_suffix(reader, tmp_path: Path):
    suffixes = [*DECODED, *map(str.upper, DECODED), ".jpg_large", ".image", ""]
    names = [f"train/{label}/{number}{suffix}" for label in ("happy", "sad") for number, suffix in enumerate(suffixes)]
    found, notes = read(reader, tmp_path, names)
    assert sorted(row[0] for row in found) == sorted(names)
    assert notes == []


# ---- passed over -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reader", [fer2013, image_folder])
@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (["train/happy/2.avif", "train/sad/3.AVIF"], ["passed over 2 files: 2 .avif (train/happy/2.avif)"]),
        (["train/sad/7.gif", "readme.md"], ["1 .gif (train/sad/7.gif)", "1 .md (readme.md)"]),
        (["train/history.png", "loss.jpg"], ["passed over 2 files", "1 .png (train/history.png)", "1 .jpg (loss.jpg)"]),
        (["plots/a/loss.png", "train/figures/x.png"], ["passed over 2 files: 2 .png (plots/a/loss.png)"]),
        (["labels/happy/1.txt", "train/happy/1.txt"], ["2 .txt (labels/happy/1.txt)"]),
    ],
)
def test_names_the_files_that_are_passed_over(reader, tmp_path: Path, extra: list[str], words: list[str]):
    names = ["train/happy/1.jpg", "train/sad/1.jpg"]
    files = dict.fromkeys(names, JPEG) | {name: JPEG if name.endswith((".jpg", ".png")) else b"x" for name in extra}
    found, [note] = read(reader, tmp_path, files)
    assert [row[0] for row in found] == names
    assert [word for word in words if word not in note] == []


@pytest.mark.parametrize("reader", [fer2013, image_folder])
def test_ignores_what_systems_and_editors_add(reader, tmp_path: Path):
    junk = ["train/happy/.ipynb_checkpoints/1-checkpoint.jpg", ".ipynb_checkpoints/2.jpg", "__MACOSX/train/._1.jpg"]
    junk += ["train/happy/Thumbs.db", "train/sad/._1.jpg", ".git/x.png", "train/desktop.ini", "train/sad/.DS_Store"]
    names = ["train/happy/1.jpg", "train/sad/1.jpg"]
    found, notes = read(reader, tmp_path, [*names, *junk])
    assert ([row[0] for row in found], notes) == (names, [])
    (tmp_path / "folder/train/.ipynb_checkpoints").mkdir(parents=True)  # empty
    pack(make_folder(tmp_path / "folder", dict.fromkeys([*names, *junk], JPEG)), tmp_path / "raw.zip")
    assert [record.sample_id for record in reader.read(tmp_path / "raw.zip")] == names


@pytest.mark.parametrize("reader", [fer2013, image_folder])
@pytest.mark.parametrize(
    ("lost", "words"),
    [
        ({"train/sad/1.avif": b"x", "train/sad/2.avif": b"x"}, ["train/sad: a class folder", "2 .avif"]),
        ({"train/sad/1.gif": encoded("GIF")}, ["train/sad: a class folder without an image", "1 .gif"]),
        ({"train/sad/1.txt": b"x"}, ["train/sad: a class folder", "1 .txt (train/sad/1.txt)"]),
        ({"train/sad/1.jpg": encoded("GIF")}, ["train/sad/1.jpg: no image of class 'sad'", "a GIF"]),
        ({"train/sad/1.jpg": b"\0\0\0\x20ftypavif    "}, ["no image of class 'sad'", "an AVIF", "allowed: JPEG, PNG"]),
        ({"train/sad/": b""}, ["train/sad/: empty class folder"]),
        ({"test/happy/1.jp2": b"x", "train/sad/1.jpg": JPEG}, ["test/happy: a class folder", "1 .jp2"]),
    ],
)
def test_a_class_that_loses_all_its_files_is_an_error(reader, tmp_path: Path, lost: dict[str, bytes], words):
    one_line(lambda: read(reader, tmp_path, {"train/happy/1.jpg": JPEG} | lost), *words)


def test_images_in_other_formats_are_counted_before_they_are_decoded(tmp_path: Path):
    files = dict.fromkeys(("train/happy/1.jpg", "train/sad/1.jpg"), JPEG)
    _, [note] = read(image_folder, tmp_path, files | {"train/sad/2.png": encoded("GIF"), "train/sad/3.jpg": b"?"})
    assert "2 images cannot be read, allowed: JPEG, PNG, BMP" in note
    assert "train/sad/2.png, a GIF" in note


# ---- names of folders ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reader", [fer2013, image_folder])
def test_class_names_map_any_folder(reader, tmp_path: Path):
    meaning = {"Fröhlich": "happy", "0": "angry", "traurig": "sad", "suprise": "surprise", "Neutrality": "neutral"}
    meaning |= {"Lernen": "train", "FER2013-Holdout": "test", "unclear": "ignore", "no face (2)": "ignore"}
    folders = {"fröhlich": "happy", "0": "angry", "Traurig": "sad", "SUPRISE": "surprise", "neutrality": "neutral"}
    names = [f"{part}/{folder}/1.jpg" for part in ("lernen", "FER2013-Holdout") for folder in folders]
    extra = ["lernen/unclear/1.jpg", "no face (2)/1.jpg"]
    found, notes = read(reader, tmp_path, [*names, *extra], meaning)
    expected = {name: (folders[name.split("/")[1]], "train" if name[0] == "l" else "test") for name in names}
    assert {name: tuple(row) for name, *row in found} == expected
    assert "number folders are read as 0 angry (class_names)" in notes[0]
    assert "passed over 2 files: 2 .jpg" in notes[1]


@pytest.mark.parametrize("reader", [fer2013, image_folder])
@pytest.mark.parametrize(
    ("folder", "role"),
    [("Training", "train"), ("Testing", "test"), ("dev", "validation"), ("FER2013Valid", "validation")],
)
def test_reads_common_names_of_parts(reader, tmp_path: Path, folder: str, role: str):
    [(_, _, part)], _ = read(reader, tmp_path, [f"{folder}/happy/a.jpg"])
    assert reader.PARTS.get(part, part) == role


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("data.yaml", "nc: 3\nnames: [Anger, Happy, sad]\n"),
        ("data.yaml", "names:\n  0: anger\n  1: happiness\n  2: Sadness\n  3: Ahegao\n"),
        ("labels.txt", "angry\nhappy\nsad\n"),
        ("labels.txt", "0 Angry\r\n1 Happy\r\n\r\n2 Sad\r\n"),
        ("Labels.txt", "sad: 2\nhappy: 1\nangry: 0\n"),
        ("classes.txt", "0,angry\n1,happy\n2,sad"),
    ],
)
@pytest.mark.parametrize("reader", [fer2013, image_folder])
def test_reads_the_names_beside_number_folders(reader, tmp_path: Path, file: str, content: str):
    files = {f"data/train/{number}/a.jpg": JPEG for number in range(3)} | {f"data/{file}": content.encode()}
    found, notes = read(reader, tmp_path, files)
    assert [row[1] for row in found] == ["angry", "happy", "sad"]
    assert f"0 angry, 1 happy, 2 sad (data/{file})" in notes[0]


def test_a_list_beside_folders_from_1_begins_with_1(tmp_path: Path):
    files = {f"{number}/a.jpg": JPEG for number in (1, 2)} | {"labels.txt": b"fear\nsad\n"}
    assert [row[1] for row in read(image_folder, tmp_path, files)[0]] == ["fear", "sad"]


@pytest.mark.parametrize(
    ("numbers", "mapping"),
    [
        (range(8), ", ".join(f"{number} {name}" for number, name in enumerate(AFFECTNET)) + " (AffectNet's order)"),
        (range(1, 8), "1 surprise, 2 fear, 3 disgust, 4 happy, 5 sad, 6 angry, 7 neutral (RAF-DB's order)"),
        ((4, 5), "4 happy, 5 sad (RAF-DB's order)"),
        ((0, 7), "0 neutral, 7 contempt (AffectNet's order)"),
    ],
)
def test_prints_the_order_of_numbers(tmp_path: Path, numbers, mapping: str):
    _, [note] = read(image_folder, tmp_path, [f"train/{number}/a.jpg" for number in numbers])
    assert mapping in note
    assert "corpora.<corpus>.class_names" in note


@pytest.mark.parametrize(
    ("files", "class_names", "words"),
    [
        ({"0/a.jpg": JPEG, "1/a.jpg": JPEG}, {"0": "angry"}, ["number folders that class_names leaves out", "1"]),
        ({"0/a.jpg": JPEG, "labels.txt": b"glad\n"}, None, ["labels.txt", "unknown class of 0", "glad"]),
        ({"5/a.jpg": JPEG, "labels.txt": b"sad\n"}, None, ["labels.txt", "no name for folder 5", "1 sad"]),
        ({"0/a.jpg": JPEG, "labels.txt": b"0/a.jpg 3\n"}, None, ["labels.txt", "not a list of classes", "0/a.jpg 3"]),
        ({"0/a.jpg": JPEG, "data.yaml": b"names: 7\n"}, None, ["data.yaml", "no list of classes", "names: 7"]),
        ({"0/a.jpg": JPEG, "data.yaml": b"{"}, None, ["data.yaml", "no list of classes"]),
        (
            {"0/a.jpg": JPEG, "data.yaml": b"names: [sad]", "labels.txt": b"fear\n"},
            None,
            ["names of the number folders that differ", "data.yaml and labels.txt"],
        ),
        ({"happy/a.jpg": JPEG, "Unklar/a.jpg": JPEG}, None, ["Unklar/a.jpg", "unknown class folder", "class_names"]),
        ({"a.jpg": JPEG, "b.jpg": JPEG}, None, ["a.jpg", "an image outside the class folders"]),
    ],
)
@pytest.mark.parametrize("reader", [fer2013, image_folder])
def test_refuses_names_that_are_unclear(reader, tmp_path: Path, files, class_names, words):
    assert len(one_line(lambda: read(reader, tmp_path, files, class_names), *words)) < 500


def test_class_names_may_merge_folders(tmp_path: Path):
    found, _ = read(image_folder, tmp_path, ["happy/a.jpg", "joyful/a.jpg", "sad/a.jpg"], {"joyful": "happy"})
    assert [row[1] for row in found] == ["happy", "happy", "sad"]


@pytest.mark.parametrize("key", ["faces", "portraits"])
def test_every_stage_uses_class_names_and_download_warns(key: str, tmp_path: Path, monkeypatch, capsys):
    content = parse((Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8"))
    meaning = {0: "happy", "böse": "angry", "Lernen": "train", "Probe": "test"}
    source, inputs = tmp_path / "source", tmp_path / "params.yaml"
    content["corpora"][key] |= {"source": str(source), "name": "own", "classes": ["happy", "angry"]}
    content["corpora"][key] |= {"class_names": meaning}
    content["splits"][key]["validation_fraction"] = 0.5
    inputs.write_text(yaml.safe_dump(content), encoding="utf-8")
    names = [f"{part}/{folder}/{n}.webp" for part in ("Lernen", "Probe") for folder in ("0", "Böse") for n in range(4)]
    pictures = {name: encoded("WEBP", picture(number)) for number, name in enumerate(names)}
    make_folder(source, pictures | {"Lernen/0/5.avif": b"x", "Thumbs.db": b"x"})
    run_stages(key, inputs, monkeypatch)
    counts = read_json(tmp_path / "split.json")["counts"]
    assert (counts["train"], counts["validation"], counts["test"]) == (4, 4, 8)
    printed = capsys.readouterr()
    assert "number folders are read as 0 happy (class_names)" in printed.err
    assert "passed over 1 files: 1 .avif (Lernen/0/5.avif)" in printed.err
    assert printed.err.count("passed over") == 1
    assert "x.h5: 16 samples" in printed.out


@pytest.mark.parametrize(
    ("own", "unused"),
    [
        ({"Anger1": "angry"}, ["anger1"]),
        ({"Holdout": "test", "happy": "happy"}, ["holdout"]),
        ({"train": "test", "sad": "ignore"}, []),
        ({"unclear": "ignore", "0": "angry"}, ["0", "unclear"]),
    ],
)
@pytest.mark.parametrize("reader", [fer2013, image_folder])
def test_class_names_that_match_no_folder_are_told(reader, tmp_path: Path, own: dict[str, str], unused: list[str]):
    files = {f"train/{label}/{n}.jpg": JPEG for label in ("happy", "sad", "angry") for n in range(2)}
    archive, notes = make_zip(tmp_path / "a.zip", files), []
    list(reader.read(archive, own, notes.append))
    told = [note for note in notes if "no folder is called" in note]
    assert [note.split("is called ")[1].split(";")[0].split(", ") for note in told] == ([unused] if unused else [])
