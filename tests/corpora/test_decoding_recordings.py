"""Recordings of every format give the written samples; damaged ones give one line."""

import gc
import io
import random
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from recording_forms import FORMS, NAMES, RATE_HZ, STEP_UV, bdf, brainvision, cnt, edf, edf_plus, eeglab, waves_uv

from stages.core.records import DamagedSample
from stages.corpora.decoding import recordings
from stages.corpora.decoding.beside import belongs_to_another, first_part
from stages.corpora.decoding.recordings import open_recording, refuse_mat_bomb


def opened(data: bytes, suffix: str = ".edf") -> recordings.Recording:
    return open_recording(io.BytesIO(data), f"x{suffix}")


def damage(data: bytes, suffix: str, *words: str) -> str:
    """Return the message of the `DamagedSample` for a recording: one line that contains all `words`."""
    with pytest.raises(DamagedSample) as error:
        opened(data, suffix).stretch(0, 1)
    line = str(error.value)
    assert "\n" not in line
    assert len(line) < 300
    for word in words:
        assert word in line
    return line


@pytest.mark.parametrize("suffix", FORMS)
def test_returns_the_written_samples_in_microvolts(suffix: str):
    values_uv = waves_uv()
    found = opened(FORMS[suffix](values_uv), suffix)
    signal, rate_hz = found.stretch(2.5, 4.0)
    assert (found.duration_s, rate_hz) == (12, RATE_HZ)
    assert signal.dtype == np.dtype([(name, "f8") for name in NAMES])
    for index, name in enumerate(NAMES):
        expected = values_uv[index, 250:650]
        np.testing.assert_allclose(signal[name], expected, rtol=0, atol=0.51 * STEP_UV[suffix] + 1e-6)


@pytest.mark.parametrize("suffix", FORMS)
def test_temporary_file_is_deleted_with_the_recording(suffix: str):
    found = opened(FORMS[suffix](waves_uv()), suffix)
    folder = Path(found.folder.name)
    assert [path.suffix for path in folder.iterdir()] == [suffix]
    del found
    gc.collect()
    assert not folder.exists()


def test_removes_prefixes_and_channels_that_are_not_eeg():
    names = ["EEG Fp1", "EEG A2-A1", "ECG ECG", "Resp", "EOG left", "VEOG", "Temp", "EMG1", "Oz", "SpO2", "Status"]
    units = ["uV"] * 8 + ["µV", "%", ""]
    values_uv = waves_uv(channels=len(names))
    signal, _ = opened(edf(values_uv, names, units=units)).stretch(0, 1)
    assert signal.dtype.names == ("Fp1", "A2-A1", "Oz")
    np.testing.assert_allclose(signal["Oz"], values_uv[8, :100], atol=0.02)


def test_other_channels_may_have_other_rates():
    """MNE alone would resample the EEG to the highest rate."""
    values_uv = waves_uv()
    signal, rate_hz = opened(edf(values_uv, ["Fp1", "ECG", "Cz"], rates_hz=[100, 250, 100])).stretch(0, 1)
    assert (signal.dtype.names, rate_hz) == (("Fp1", "Cz"), RATE_HZ)
    np.testing.assert_allclose(signal["Cz"], values_uv[2, :100], atol=0.02)


@pytest.mark.parametrize(
    ("names", "rates_hz", "units", "kept"),
    [
        (["Fp1", "Light", "Cz"], [100, 1, 100], ["uV", "uV", "uV"], ("Fp1", "Cz")),
        (["Fp1", "Light", "Sound"], [100, 1, 1], ["uV", "", ""], ("Fp1",)),
        (["Fp1", "Cz", "X1"], [100, 200, 100], None, ("Fp1", "X1")),
        (["E1", "E2", "Body"], [200, 200, 100], None, ("E1", "E2")),
        (["Light", "Cz", "O2"], [5, 100, 100], ["lux", "mV", "uV"], ("Cz", "O2")),
        (["X1", "X2", "X3"], [1, 1, 50], None, ("X3",)),
    ],
)
def test_channels_of_another_rate_are_left_out_and_named(names: list, rates_hz: list, units: list, kept: tuple):
    found = opened(edf(waves_uv(), names, units=units, rates_hz=rates_hz))
    signal, rate_hz = found.stretch(0, 1)
    assert (signal.dtype.names, rate_hz) == (kept, rates_hz[names.index(kept[0])])
    left_out = [
        name for name, unit in zip(names, units or ["uV"] * 3, strict=True) if unit != "lux" and name not in kept
    ]
    assert all(f"{name} (" in signal.dtype.metadata["left_out"] for name in left_out)


@pytest.mark.parametrize("form", [edf, bdf])
@pytest.mark.parametrize("seed", range(3))
def test_unreadable_annotations_do_not_stop_the_eeg(form, seed: int):
    """The channel of annotations holds noise."""
    label = "EDF Annotations" if form is edf else "BDF Annotations"
    data = form(waves_uv(seed=seed), ["Fp1", label, "Cz"], kind="EDF+C" if form is edf else "24BIT")
    signal, _ = opened(data, ".edf" if form is edf else ".bdf").stretch(0, 1)
    assert signal.dtype.names == ("Fp1", "Cz")
    np.testing.assert_allclose(signal["Cz"], waves_uv(seed=seed)[2, :100], atol=0.02)


def smooth_uv(channels: int, rate_hz: int = 500) -> np.ndarray:
    """Return (channels, 10 s) of sines between 5 and 20 Hz around different means."""
    time_s = np.arange(10 * rate_hz) / rate_hz
    return np.array([7 * i + (20 + i) * np.sin(2 * np.pi * (5 + 15 * i / channels) * time_s) for i in range(channels)])


@pytest.mark.parametrize("bits", [16, 32])
@pytest.mark.parametrize("channels", [1, 3, 6])
@pytest.mark.parametrize(
    "header",
    [
        {"stated": 0},
        {"stated": 7},
        {"stated": -5},
        {"stated": 10**9},
        {"stated": 9, "stated_end": 2**31 - 1},
        {"stated": 4_999, "stated_end": -77},
        {"stated": 5_000, "stated_end": 0},
    ],
)
def test_cnt_with_a_wrong_number_of_samples(bits: int, channels: int, header: dict):
    values_uv, names = smooth_uv(channels), [f"C{i}" for i in range(channels)]
    found = opened(cnt(values_uv, names, 500, bits, **header), ".cnt")
    signal, rate_hz = found.stretch(2, 3)
    assert (rate_hz, signal.dtype.names) == (500, tuple(names))
    assert found.duration_s == pytest.approx(10, abs=0.02)  # the table of events may be read as samples
    np.testing.assert_allclose(signal[names[-1]], values_uv[-1, 1_000:2_500], atol=0.06)


def test_cnt_of_unknown_width_is_refused():
    """Noise is smooth in no format, and both have an amplitude of EEG."""
    line = damage(cnt(waves_uv(), stated=5), ".cnt", "its bits per sample are unknown; allowed: ", "received: 16 bits")
    assert "recording.cnt" not in line


@pytest.mark.parametrize(
    ("suffix", "share"), [(".fif", 0.02), (".set", 0.5), (".cnt", 0.01), (".vhdr", 1), (".gdf", 1)]
)
def test_messages_hold_no_temporary_path(suffix: str, share: float):
    data = FORMS[suffix](waves_uv()) if suffix in FORMS else b"DataFile=x.eeg" * 30
    line = damage(data[: round(share * len(data))], suffix)
    assert "/" not in line
    assert "recording." not in line


def with_files(files: dict[str, bytes], name: str) -> recordings.Recording:
    beside = {other: lambda content=content: io.BytesIO(content) for other, content in files.items()}
    return open_recording(io.BytesIO(files[name]), name, beside)


def split_fif(values_uv: np.ndarray, folder: Path, naming: str) -> dict[str, bytes]:
    import mne

    info = mne.create_info(NAMES, RATE_HZ, "eeg")
    raw = mne.io.RawArray(values_uv / 1e6, info, verbose="ERROR")
    name = "x_raw.fif" if naming == "neuromag" else "x_eeg.fif"
    raw.save(folder / name, fmt="double", split_size="2MB", split_naming=naming, verbose="ERROR")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("naming", ["neuromag", "bids"])
@pytest.mark.filterwarnings("ignore")
def test_split_fif_is_read_as_one_recording(tmp_path: Path, naming: str):
    values_uv = waves_uv(2_000)
    files = split_fif(values_uv, tmp_path, naming)
    first = min(files, key=len) if naming == "neuromag" else min(files)
    assert len(files) > 1
    found = with_files(files, first)
    assert found.duration_s == 2_000
    np.testing.assert_allclose(found.stretch(1_500, 400)[0]["Cz"], values_uv[1, 150_000:190_000])


@pytest.mark.parametrize("stated", ["x.fdt", "old name.fdt", "/home/me/eeg/x.fdt", "C:\\eeg\\x.fdt"])
def test_set_with_fdt_beside(stated: str):
    values_uv = waves_uv()
    fdt = values_uv.T.astype("<f4").tobytes()
    found = with_files({"x.set": eeglab(values_uv, data=stated), "x.fdt": fdt, "y.fdt": fdt[::-1]}, "x.set")
    np.testing.assert_allclose(found.stretch(3, 2)[0]["O2"], values_uv[2, 300:500], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("data", "names"),
    [
        ("x.eeg", {".eeg": "x.eeg", ".vmrk": "x.vmrk"}),
        ("before renaming.eeg", {".eeg": "x.eeg", ".vmrk": "x.vmrk"}),
        ("other.eeg", {".eeg": "other.eeg"}),
        ("/etc/x.eeg", {".eeg": "X.EEG", ".vmrk": "x.vmrk"}),
        ("$b.eeg", {".eeg": "x.eeg"}),
    ],
)
def test_brainvision(data: str, names: dict[str, str]):
    values_uv = waves_uv()
    made = brainvision(values_uv, data=data)
    files = {"x.vhdr": made[".vhdr"]} | {name: made[suffix] for suffix, name in names.items()}
    signal, rate_hz = with_files(files, "x.vhdr").stretch(2, 3)
    assert (rate_hz, signal.dtype.names) == (RATE_HZ, tuple(NAMES))
    np.testing.assert_allclose(signal["Cz"], values_uv[1, 200:500], rtol=1e-5, atol=1e-4)


def test_brainvision_without_its_samples():
    files = {"x.vhdr": brainvision(waves_uv())[".vhdr"], "y.eeg": b""}
    with pytest.raises(DamagedSample, match=r"samples are not beside it; allowed: .x\.eeg. in its folder"):
        with_files(files, "x.vhdr")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("x_raw-1.fif", "x_raw.fif"),
        ("s_split-02_eeg.fif", "s_split-01_eeg.fif"),
        ("s_split-01_eeg.fif", None),
        ("y_raw-1.fif", None),
        ("x_raw.fif", None),
        ("x-1.edf", None),
    ],
)
def test_first_part_of_a_split_fif(name: str, expected: str | None):
    assert first_part(name, ["x_raw.fif", "s_split-01_eeg.fif", name]) == expected


def gdf(values_uv: np.ndarray) -> bytes:
    """Return GDF 1.25 in records of one second. Source: Schloegl, arXiv:cs/0608052v2."""
    seconds, n = values_uv.shape[1] // RATE_HZ, len(NAMES)
    head = bytearray(256)
    head[:8] = b"GDF 1.25"
    head[168:184] = b"2020010110000000"
    struct.pack_into("<q", head, 184, 256 * (n + 1))
    struct.pack_into("<qIII", head, 236, seconds, 1, 1, n)
    fields = [b"".join(name.encode().ljust(16) for name in NAMES), bytes(80 * n), b"uV      " * n]
    fields += [struct.pack("<d", -800) * n, struct.pack("<d", 800) * n, struct.pack("<q", -32768) * n]
    fields += [struct.pack("<q", 32767) * n, bytes(80 * n), struct.pack("<I", RATE_HZ) * n, struct.pack("<I", 3) * n]
    digital = np.round((values_uv + 800) / 1600 * 65535 - 32768).astype("<i2")
    records = digital.reshape(n, seconds, RATE_HZ).transpose(1, 0, 2).tobytes()
    return bytes(head) + b"".join(fields) + bytes(32 * n) + records


def test_gdf():
    signal, rate_hz = opened(gdf(waves_uv()), ".gdf").stretch(2, 3)
    assert (rate_hz, signal.dtype.names) == (RATE_HZ, tuple(NAMES))
    np.testing.assert_allclose(signal["Cz"], waves_uv()[1, 200:500], atol=0.03)


def test_millivolts_are_scaled():
    signal, _ = opened(edf(waves_uv(), units=["mV", "uV", "µV"])).stretch(0, 1)
    np.testing.assert_allclose(signal["Fp1"], 1000 * waves_uv()[0, :100], atol=20)


@pytest.mark.parametrize("form", [edf, bdf])
@pytest.mark.parametrize("lost", [1, 600, 5_000])
def test_truncated_edf(form, lost: int):
    data = form(waves_uv())
    line = damage(data[:-lost], ".edf", f"cut short: its header states {len(data)} bytes, but {len(data) - lost}")
    assert line.count(":") == 1


@pytest.mark.parametrize("size", [0, 100, 255, 256, 300, 1_023])
def test_edf_with_an_incomplete_header(size: int):
    damage(edf(waves_uv())[:size], ".edf", "not an EDF or BDF recording" if size < 256 else "its header is incomplete")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (edf(waves_uv(channels=2), ["ECG", "Resp"]), ["no EEG channel; its channels: ECG (uV), Resp (uV)"]),
        (edf(waves_uv(), units=["UV", "%", "degC"]), ["no EEG channel", "Fp1 (UV), Cz (%), O2 (degC)"]),
        (edf(waves_uv(), kind="EDF+D"), ["interrupted recording (EDF+D) without the channel 'EDF Annotations'"]),
        (edf(waves_uv(), ["Fp1", "EDF Annotations", "Cz"], kind="EDF+D"), ["record 0 states no time"]),
        (edf_plus(waves_uv(), [], [*range(5), 3, *range(6, 12)]), ["record 5 begins before the last ended"]),
        (edf(waves_uv(), n_records=-1), ["-1 records", "not closed"]),
        (edf(waves_uv()).replace(b"0       ", b"PK\3\4    ", 1), ["not an EDF or BDF recording", "504b0304"]),
        (edf(waves_uv(), n_records="many"), ["b'many    ' in its header"]),
        (edf(waves_uv(rate_hz=5), rate_hz=5), ["5 Hz; allowed: 10 to 50000"]),
    ],
)
def test_invalid_edf(data: bytes, words: list[str]):
    damage(data, ".edf", *words)


# Starts of twelve records of one second: without a gap, with one, with two, a gap after each, shifted by milliseconds.
STARTS = {
    "none": [*range(12)],
    "late start": [number + 0.5 for number in range(12)],
    "one": [*range(5), *range(65, 72)],
    "two": [*range(3), *range(10, 14), *(number + 0.25 for number in range(20, 25))],
    "everywhere": [2 * number for number in range(12)],
    "rounding": [number + 0.003 * (number % 2) for number in range(12)],
}


@pytest.mark.parametrize("bits", [16, 24])
@pytest.mark.parametrize("starts", STARTS.values(), ids=STARTS)
def test_interrupted_recordings_are_read_at_their_times(starts: list[float], bits: int):
    values_uv, suffix = waves_uv(), ".edf" if bits == 16 else ".bdf"
    marks = [(start + 0.25, 0.5, f"mark {number}") for number, start in enumerate(starts) if number % 5 == 0]
    data = edf_plus(values_uv, marks, starts, bits)
    found = open_recording(io.BytesIO(data), f"x{suffix}", annotated=True)
    assert found.duration_s == pytest.approx(starts[-1] + 1 - starts[0], abs=0.01)
    assert found.annotations() == [(on - starts[0], lasts, text) for on, lasts, text in marks]
    for number, start in enumerate(starts):
        signal, rate_hz = found.stretch(start - starts[0] + 0.25, 0.5)
        assert (len(signal), rate_hz, signal.dtype.names) == (50, RATE_HZ, tuple(NAMES))
        expected = values_uv[1, 100 * number + 25 : 100 * number + 75]
        np.testing.assert_allclose(signal["Cz"], expected, rtol=0, atol=0.02)


@pytest.mark.parametrize(
    ("starts", "onset_s", "duration_s", "words"),
    [
        ("one", 4.5, 1, "from 5 to 65 s"),
        ("one", 4.5, 61, "from 5 to 65 s"),
        ("one", 30, 5, "from 5 to 65 s; allowed: trials without a gap; received: 30 to 35 s"),
        ("two", 13, 9, "from 14 to 20.25 s"),
        ("two", 0, 25, "from 3 to 10 s"),
        ("everywhere", 0, 1.5, "from 1 to 2 s"),
        ("one", 80, 1, "no sample in 1 s from 80 s of 72 s"),
    ],
)
def test_trials_across_a_gap_are_damaged(starts: str, onset_s: float, duration_s: float, words: str):
    found = opened(edf_plus(waves_uv(), [], STARTS[starts]))
    with pytest.raises(DamagedSample, match=re.escape(words)):
        found.stretch(onset_s, duration_s)


@pytest.mark.parametrize(
    ("starts", "onset_s", "duration_s"), [("one", 0, 5), ("one", 65, 7), ("two", 10, 4), ("none", 0, 12)]
)
def test_trials_up_to_a_gap_are_read(starts: str, onset_s: float, duration_s: float):
    signal, _ = opened(edf_plus(waves_uv(), [], STARTS[starts])).stretch(onset_s, duration_s)
    start = 100 * STARTS[starts].index(onset_s)
    np.testing.assert_allclose(signal["O2"], waves_uv()[2, start : start + 100 * duration_s], rtol=0, atol=0.02)


@pytest.mark.parametrize("suffix", [".cnt", ".fif", ".set"])
def test_recordings_without_eeg(suffix: str):
    damage(FORMS[suffix](waves_uv(), ["ECG", "EMG1", "VEOG"]), suffix, "no EEG channel; its channels: ECG, EMG1, VEOG")


@pytest.mark.parametrize("suffix", [".cnt", ".fif", ".set"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.9])
def test_truncated_cnt_fif_and_set(suffix: str, share: float):
    """A truncated FIF may also be a shorter recording, whose samples are right."""
    values_uv = waves_uv(120)
    data = FORMS[suffix](values_uv)
    try:
        found = opened(data[: round(share * len(data))], suffix)
        signal, _ = found.stretch(0, found.duration_s)
    except DamagedSample as error:
        assert re.match(rf"not a (whole {suffix[1:].upper()}|MATLAB)|its samples cannot be read", str(error))  # noqa: PT017
    else:
        assert suffix == ".fif"
        np.testing.assert_allclose(signal["Cz"], values_uv[1, : len(signal)], atol=1e-6)


@pytest.mark.parametrize("suffix", FORMS)
def test_changed_bytes_are_damaged_or_harmless(suffix: str):
    data = FORMS[suffix](waves_uv(2))
    for seed in range(12):
        rng, broken = random.Random(seed), bytearray(data)
        for _ in range(3):
            broken[rng.randrange(min(len(data), 1_500))] = rng.randrange(256)
        try:
            opened(bytes(broken), suffix).stretch(0, 0.5)
        except DamagedSample as error:
            assert "\n" not in str(error)  # noqa: PT017 - not every byte matters


@pytest.mark.parametrize(("onset_s", "duration_s"), [(12, 1), (-1, 2), (500, 1), (3, 0.001)])
def test_stretches_without_a_sample(onset_s: float, duration_s: float):
    with pytest.raises(DamagedSample, match="no sample in"):
        opened(edf(waves_uv())).stretch(onset_s, duration_s)


def test_stretches_are_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(recordings, "MAX_VALUES", 1_000)
    with pytest.raises(DamagedSample, match="12 s of 3 channels; allowed: 1000 samples"):
        opened(edf(waves_uv())).stretch(0, 12)


@pytest.mark.parametrize("name", ["x.fdt", "/etc/hostname.fdt", "../x.fdt", "{other}"])
def test_set_must_not_name_another_file(tmp_path: Path, name: str):
    other = tmp_path / "secret.fdt"
    other.write_bytes(np.zeros(3_600, np.float32).tobytes())
    damage(eeglab(waves_uv(), data=name.replace("{other}", str(other))), ".set", "")


def test_uncompressed_set():
    signal, _ = opened(eeglab(waves_uv(), compressed=False), ".set").stretch(0, 1)
    np.testing.assert_allclose(signal["Cz"], waves_uv()[1, :100])


def test_mat_bomb_is_not_unpacked():
    head = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x0100) + b"IM"
    bomb = zlib.compress(bytes(30_000_000))
    stream = io.BytesIO(head + struct.pack("<II", 15, len(bomb)) + bomb)
    with pytest.raises(DamagedSample, match="more than 1000000 bytes unpacked"):
        refuse_mat_bomb(stream, 1_000_000)
    stream.seek(0)
    refuse_mat_bomb(stream, 30_000_000)


@pytest.mark.parametrize(
    ("data", "words"), [(b"MATLAB 7.3 MAT-file" + bytes(200), "version 7.3"), (b"", "not a MATLAB")]
)
def test_unsupported_mat_files(data: bytes, words: str):
    damage(data, ".set", words)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("x.vhdr", False),
        ("x.eeg", True),
        ("x.VMRK", True),
        ("y.fdt", True),
        ("z.fdt", False),
        ("y.eeg", False),
        ("a_raw.fif", False),
        ("a_raw-1.fif", True),
        ("b-1.fif", False),
        ("x.edf", False),
    ],
)
def test_files_that_belong_to_another(name: str, expected: bool):
    names = ["x.vhdr", "x.eeg", "x.VMRK", "y.set", "y.fdt", "z.fdt", "y.eeg", "a_raw.fif", "a_raw-1.fif", "b-1.fif"]
    assert belongs_to_another(name, [*names, "x.edf"]) == expected


@pytest.mark.parametrize("dated", [False, True])
@pytest.mark.parametrize("start_s", [0.0, 3.0])
@pytest.mark.filterwarnings("ignore")
def test_onsets_of_annotations_count_from_the_first_sample(tmp_path: Path, dated: bool, start_s: float):
    import mne

    raw = mne.io.RawArray(waves_uv(20) / 1e6, mne.create_info(NAMES, RATE_HZ, "eeg"), verbose="ERROR")
    raw.set_meas_date(86_400 if dated else None)
    raw.set_annotations(mne.Annotations([5.0], [2.0], ["happy"], orig_time=raw.info["meas_date"]))
    raw.crop(start_s).save(tmp_path / "x_raw.fif", fmt="double", verbose="ERROR")
    found = open_recording(io.BytesIO((tmp_path / "x_raw.fif").read_bytes()), "x.fif", annotated=True)
    ((onset_s, duration_s, text),) = found.annotations()
    assert (onset_s, duration_s, text) == (pytest.approx(5 - start_s), pytest.approx(2), "happy")
