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
from recording_forms import FORMS, NAMES, RATE_HZ, STEP_UV, bdf, edf, eeglab, waves_uv

from stages.core.records import DamagedSample
from stages.corpora.decoding import recordings
from stages.corpora.decoding.recordings import open_recording, refuse_mat_bomb


def opened(data: bytes, suffix: str = ".edf") -> recordings.Recording:
    return open_recording(io.BytesIO(data), suffix)


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
        (edf(waves_uv(), rates_hz=[100, 200, 100]), ["EEG channels of 2 rates, 100 to 200 Hz; allowed: one"]),
        (edf(waves_uv(), kind="EDF+D"), ["interrupted recording (EDF+D)"]),
        (edf(waves_uv(), n_records=-1), ["-1 records", "not closed"]),
        (edf(waves_uv()).replace(b"0       ", b"PK\3\4    ", 1), ["not an EDF or BDF recording", "504b0304"]),
        (edf(waves_uv(), n_records="many"), ["b'many    ' in its header"]),
        (edf(waves_uv(rate_hz=5), rate_hz=5), ["5 Hz; allowed: 10 to 50000"]),
        (edf(waves_uv(), units=["", "", ""]), ["channel 'Fp1'", "µV; allowed: up to 1e+06"]),
    ],
)
def test_invalid_edf(data: bytes, words: list[str]):
    damage(data, ".edf", *words)


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


def test_nan():
    values_uv = waves_uv()
    values_uv[1, 50] = np.nan
    damage(eeglab(values_uv), ".set", "channel 'Cz'", "nan µV")


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
