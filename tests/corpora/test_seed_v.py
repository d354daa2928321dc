"""SEED-V as released, in other wrappings and forms of saving, and invalid or hostile files."""

import io
import os
import pickle
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from archive_files import make_zip, one_line, packed
from seed_v_files import RELEASED, npz, saved, trials

from stages.core.records import DamagedSample, Record
from stages.corpora import seed_v

NAME = "EEG_DE_features/7_123.npz"
EMOTIONS = ("disgust", "fear", "sad", "neutral", "happy")  # the released README's order of codes


def read(tmp_path: Path, content: bytes, name: str = NAME) -> list[Record]:
    return list(seed_v.read(packed(tmp_path, {name: content})))


def changed(part: str, trial: int, value: object) -> bytes:
    data, label = trials()
    {"data": data, "label": label}[part][trial] = value
    return npz(data, label)


def test_reads_a_subject_as_released(tmp_path: Path):
    records = read(tmp_path, npz())
    assert [r.sample_id for r in records] == [f"07_s{s}_t{t:02d}" for s in (1, 2, 3) for t in range(15)]
    assert [r.label for r in records] == [EMOTIONS[code] for code in RELEASED]
    assert [r.trial for r in records] == list(range(15)) * 3
    assert {r.group for r in records} == {"07"}
    assert [r.extra for r in records[::15]] == [{"session": "1"}, {"session": "2"}, {"session": "3"}]
    assert {r.partition for r in records} == {None}
    for record, expected in zip(records, trials()[0].values(), strict=True):
        values, rate_hz = record.load()
        np.testing.assert_array_equal(values, expected)
        assert (values.dtype, values.flags.c_contiguous, rate_hz) == (np.float64, True, 0.25)


def test_every_block_of_five_trials_has_every_emotion_once():
    """The protocol `trial_blocks` (the three folds of the BCMI lab) needs this."""
    for order in seed_v.ORDERS:
        assert all(sorted(order[start : start + 5]) == [0, 1, 2, 3, 4] for start in (0, 5, 10))
    assert [code for order in seed_v.ORDERS for code in order] == RELEASED


def test_subjects_are_sorted(tmp_path: Path):
    archive = packed(tmp_path, {f"EEG_DE_features/{subject}_123.npz": npz() for subject in (10, 2, 1, 16)})
    records = list(seed_v.read(archive))
    assert [r.sample_id for r in records[::45]] == ["01_s1_t00", "02_s1_t00", "10_s1_t00", "16_s1_t00"]
    assert len({r.sample_id for r in records}) == 180
    assert seed_v.missing(Counter(r.partition for r in records)) == "not the whole of SEED-V (180 of 720 trials)"


WRAPPINGS = {
    "deeper": [f"SEED-V/data/{NAME}", "SEED-V/EEG_raw/7_1_20180411.cnt"],
    "upper case": [NAME.upper()],
    "another zero": ["EEG_DE_features/07_123.npz"],
    "hidden": [NAME, "EEG_DE_features/.7_123.npz", "EEG_DE_features/.old/8_123.npz"],
    "eyes": [NAME, "Eye_movement_features/7_123.npz", "Eye_movement_features/8_123.npz"],
    "eyes beside another folder": ["de/7_123.npz", "EYE_movement_features/7_123.npz"],
    "other arrays": [NAME, "saved/model.npz", "README.txt"],
}


@pytest.mark.parametrize("names", WRAPPINGS.values(), ids=WRAPPINGS)
def test_ignores_other_files(tmp_path: Path, names: list[str]):
    """The first name is the subject's file; the others must not be opened."""
    archive = packed(tmp_path, dict.fromkeys(names, b"junk") | {names[0]: npz()})
    records = list(seed_v.read(archive))
    assert [(r.sample_id, r.label) for r in records[:2]] == [("07_s1_t00", "happy"), ("07_s1_t01", "fear")]
    assert len(records) == 45
    assert records[44].load()[0].shape == (2, 310)


def test_copies_are_read_once_and_refused_if_they_differ(tmp_path: Path):
    names = [NAME, f"copy of data/{NAME}", "EEG_DE_features/07_123.npz"]
    assert len(list(seed_v.read(packed(tmp_path, dict.fromkeys(names, npz()))))) == 45
    for other in names[1:]:
        archive = packed(tmp_path, {NAME: npz(), other: npz(protocol=2)})
        one_line(lambda archive=archive: seed_v.read(archive), "two files of subject 7", "one file per subject", other)


def pickled(part: str) -> bytes:
    return pickle.dumps(dict(zip(("data", "label"), trials(), strict=True))[part], 3)


def compressed() -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, data=pickled("data"), label=pickled("label"))
    return stream.getvalue()


FORMS = {
    **{f"protocol {protocol}": npz(protocol=protocol) for protocol in (2, 4, 5)},
    "compressed": compressed(),
    "an array of one": saved(data=np.array([pickled("data")]), label=np.array([pickled("label")])),
    "void": saved(data=np.void(pickled("data")), label=np.void(pickled("label"))),
    "numbers": saved(data=np.frombuffer(pickled("data"), np.uint8), label=np.frombuffer(pickled("label"), np.int8)),
    "big endian": npz({trial: values.astype(">f8") for trial, values in trials()[0].items()}),
    "labels as floats": npz(label={trial: codes.astype(float) for trial, codes in trials()[1].items()}),
    "labels as lists": npz(label={trial: codes.tolist() for trial, codes in trials()[1].items()}),
    "labels as a column": npz(label={trial: codes[:, None] for trial, codes in trials()[1].items()}),
    "another order of trials": npz(dict(reversed(trials()[0].items())), dict(reversed(trials()[1].items()))),
}


@pytest.mark.parametrize("content", FORMS.values(), ids=FORMS)
def test_other_forms_of_saving_give_the_same_records(tmp_path: Path, content: bytes):
    plain, other = read(tmp_path / "a", npz()), read(tmp_path / "b", content, "7_123.npz")
    assert [(r.sample_id, r.label) for r in other] == [(r.sample_id, r.label) for r in plain]
    for left, right in zip(plain[::11], other[::11], strict=True):
        np.testing.assert_array_equal(left.load()[0], right.load()[0])
        assert left.content_hash() == right.content_hash()


def test_records_can_be_pickled_and_hash_their_content(tmp_path: Path):
    records = read(tmp_path, changed("data", 9, trials()[0][5]))
    copy = pickle.loads(pickle.dumps(records[20]))
    np.testing.assert_array_equal(copy.load()[0], trials()[0][20])
    assert len({record.content_hash() for record in records}) == 44
    assert records[9].content_hash() == records[5].content_hash()


def test_a_subject_is_unpickled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    archive = packed(tmp_path, {f"{subject}_123.npz": npz() for subject in (1, 2, 3)})
    unpickled, load = [], seed_v.load_arrays
    monkeypatch.setattr(seed_v, "load_arrays", lambda data, where: unpickled.append(where) or load(data, where))
    records = list(seed_v.read(archive))
    assert len(unpickled) == 3  # labels
    for record in records:
        record.load()
    assert len(unpickled) == 6
    assert seed_v._subject_trials.cache_info().currsize <= 2


def test_reads_a_rewritten_archive_again(tmp_path: Path):
    before = read(tmp_path, npz())[3].load()[0]
    after = read(tmp_path, changed("data", 3, before + 1))[3].load()[0]
    np.testing.assert_array_equal(after, before + 1)


def test_warns_of_another_number_of_windows(tmp_path: Path, capsys: pytest.CaptureFixture):
    archive = packed(tmp_path, {f"{subject}_123.npz": npz() for subject in (1, 2, 3)})
    seed_v.read(archive)
    line = capsys.readouterr().err
    assert f"warning: {archive}: another number of windows than SEED-V (released: (681, 541, 601)" in line
    assert "subject 1 has (30, 30, 30), and 2 more subjects" in line
    assert line.count("\n") == 1


DAMAGED = {
    "no windows": (np.zeros((0, 310)), r"0 windows; allowed: 1 to 2000"),
    "309 features": (np.ones((2, 309)), r"shape \(2, 309\); allowed: \(windows, 310\)"),
    "channels and bands apart": (np.ones((2, 62, 5)), r"shape \(2, 62, 5\)"),
    "one window without its axis": (np.ones(310), r"shape \(310,\)"),
    "one number": (np.array(1.0), r"shape \(\)"),
    "NaN": (np.where(np.arange(620) == 7, np.nan, 1.0).reshape(2, 310), "values that are NaN or infinite"),
    "infinite": (np.where(np.arange(620) == 7, -np.inf, 1.0).reshape(2, 310), "values that are NaN or infinite"),
    "huge value": (np.where(np.arange(620) == 7, 1e300, 1.0).reshape(2, 310), r"a value of 1e\+300"),
    "flat": (np.zeros((2, 310)), "all values are 0"),
    "other labels": (np.arange(930.0).reshape(3, 310), "3 windows, but 2 labels"),
    "hours": (np.zeros((2_001, 310), "i1"), "2001 windows; allowed: 1 to 2000"),
}


@pytest.mark.parametrize(("values", "reason"), DAMAGED.values(), ids=DAMAGED)
def test_other_trials_of_a_damaged_one_are_read(tmp_path: Path, values: np.ndarray, reason: str):
    records = read(tmp_path, changed("data", 26, values))
    assert records[26].sample_id == "07_s2_t11"
    assert len(records[26].content_hash()) == 32
    with pytest.raises(DamagedSample, match=f"^{reason}"):
        records[26].load()
    assert records[25].load()[0].shape == (2, 310)


def test_trial_without_windows_and_labels(tmp_path: Path):
    data, label = trials()
    data[26], label[26] = np.zeros((0, 310)), np.zeros(0)
    record = read(tmp_path, npz(data, label))[26]
    assert record.label == "happy"
    with pytest.raises(DamagedSample, match="0 windows"):
        record.load()


class Hostile:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def without(number: int, part: int) -> dict[int, np.ndarray]:
    return {trial: values for trial, values in trials()[part].items() if trial != number}


LABELS = {
    "an unknown code": (changed("label", 17, np.array([7, 7])), ["s2_t02: unknown emotion code; allowed: 0 to 4", "7"]),
    "no number": (changed("label", 17, np.array([np.nan])), ["s2_t02: unknown emotion code", "nan"]),
    "two codes": (changed("label", 17, np.array([3, 4])), ["s2_t02: labels differ within a trial", "[3, 4]"]),
    "another order": (changed("label", 17, np.array([4, 4])), ["session 2: not the released order", "2 1 4 0 4"]),
    "text": (changed("label", 17, np.array(["sad"])), ["label.npy", "an array of type 'U3'"]),
    "44 trials": (npz(label=without(17, 1)), ["label.npy", "allowed: trials 0 to 44; received: '44 trials'"]),
    "no label": (saved(data=pickled("data")), ["holds no 'label'", "received: 'data.npy'"]),
    "no data": (saved(label=pickled("label")), ["holds no 'data'", "received: 'label.npy'"]),
    "no bytes": (saved(data=np.zeros(3), label=np.zeros(3)), ["data.npy", "not bytes", "(3,) of type float64"]),
    "objects": (saved(data=np.array({}, dtype=object), label=b"x"), ["data.npy", "not bytes", "of type object"]),
    "broken pickle": (saved(data=b"x", label=pickled("label")[:-9]), ["label.npy", "not a readable pickle"]),
    "cut short": (npz()[:-3000], ["damaged or cut short", "BadZipFile"]),
    "one byte off": (npz().replace(b"numpy", b"numpi", 1), ["damaged or cut short", "CRC"]),
    "text file": (b"subject,7", ["damaged or cut short", "File is not a zip file"]),
    "empty": (b"", ["damaged or cut short"]),
}


@pytest.mark.parametrize(("content", "words"), LABELS.values(), ids=LABELS)
def test_reading_labels_refuses_invalid_files(tmp_path: Path, content: bytes, words: list[str]):
    archive = packed(tmp_path, {NAME: content})
    line = one_line(lambda: seed_v.read(archive), f"{archive}: '{NAME[:8]}", *words)
    assert len(line) < 400 + len(str(archive))


def test_hostile_pickles_run_no_code(tmp_path: Path):
    path = tmp_path / "created"
    archive = packed(tmp_path, {NAME: npz(label={0: Hostile(path)})})
    one_line(lambda: seed_v.read(archive), "label.npy'", "import of posix.system")
    record = read(tmp_path, npz(data={0: Hostile(path)}))[0]
    one_line(record.load, "data.npy'", "import of posix.system")
    one_line(record.content_hash, "import of posix.system")
    objects = saved(data=np.array([Hostile(path)], dtype=object), label=np.array([Hostile(path)], dtype=object))
    one_line(lambda: read(tmp_path, objects), "not bytes", "of type object")
    assert not path.exists()


def test_decoding_refuses_data_of_fewer_trials(tmp_path: Path):
    record = read(tmp_path, npz(without(17, 0)))[3]
    one_line(record.load, "data.npy'", "allowed: trials 0 to 44; received: '44 trials'")


def npz_with(data_npy: bytes, stated: int | None = None, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return an npz with this data.npy, which may state another size."""
    path = io.BytesIO()
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("data.npy", data_npy)
        archive.writestr("label.npy", b"")
    content = path.getvalue()
    if stated is not None:
        at = content.index(b"PK\x01\x02") + 24
        content = content[:at] + stated.to_bytes(4, "little") + content[at + 4 :]
    return content


def npy(descr: str, shape: str = "()", payload: bytes = b"") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + payload


HOSTILE = {
    "a bomb": (npz_with(bytes(65 << 20)), ["too big", "at most 67108864 bytes", "68157440 bytes"]),
    "a bomb that states little": (npz_with(bytes(1 << 20), 100), ["damaged or cut short"]),
    "a bomb of bzip2": (npz_with(bytes(9), method=zipfile.ZIP_BZIP2), ["unsupported compression method", "bzip2"]),
    "terabytes stated": (npz_with(npy("'|S9999999999999'")), ["data.npy", "damaged or cut short"]),
    "one byte too many": (npz_with(npy("'|S3'", payload=b"abcd")), ["data.npy", "damaged or cut short", "4 bytes"]),
    "code as header": (npz_with(npy("__import__('os').system('true')")), ["data.npy", "damaged or cut short"]),
    "no header": (npz_with(b"hello"), ["data.npy", "damaged or cut short"]),
    "another version": (npz_with(b"\x93NUMPY\x09\x00"), ["data.npy", "damaged or cut short"]),
}


@pytest.mark.parametrize(("content", "words"), HOSTILE.values(), ids=HOSTILE)
def test_refuses_hostile_npz(tmp_path: Path, content: bytes, words: list[str]):
    archive = make_zip(tmp_path / "raw.zip", {NAME: content})
    one_line(lambda: seed_v.read(archive), *words)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["1_123.npz", "2_123 (1).npz"], ["2_123 (1).npz", "not a subject's file", "allowed: EEG_DE_features/7_123"]),
        (["one.npz"], ["not the layout of reader 'seed_v'; allowed: EEG_DE_features/7_123.npz", "one.npz"]),
        (["Eye_movement_features/1_123.npz"], ["not the layout of reader 'seed_v'", "Eye_movement"]),
        (["wav/03a01Fa.wav", "wav/16b10Wb.wav"], ["not the layout of reader 'seed_v', but of reader 'emodb'"]),
        (["happy/1.wav"], ["but of reader 'speech_folder'"]),
    ],
)
def test_refuses_other_layouts(tmp_path: Path, names: list[str], words: list[str]):
    archive = packed(tmp_path, dict.fromkeys(names, b"x"))
    one_line(lambda: seed_v.read(archive), str(archive), *words)
