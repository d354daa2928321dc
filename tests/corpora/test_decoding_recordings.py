"""Recordings of every format give the samples that were written, and broken ones a line."""

import gc
import io
import random
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from recording_forms import FORMS, NAMES, RATE_HZ, STEP_UV, bdf, cnt, edf, eeglab, fif, waves_uv

from stages.core.records import DamagedSample
from stages.corpora.decoding import mat, recordings
from stages.corpora.decoding.recordings import open_recording


def opened(data: bytes, suffix: str = ".edf") -> recordings.Recording:
    return open_recording(io.BytesIO(data), suffix)


def damaged(data: bytes, suffix: str, *words: str) -> str:
    with pytest.raises(DamagedSample) as error:
        opened(data, suffix).stretch(0, 1)
    line = str(error.value)
    assert "\n" not in line
    assert len(line) < 300
    for word in words:
        assert word in line
    return line


@pytest.mark.parametrize("suffix", FORMS)
def test_samples_are_those_written_in_microvolts(suffix: str):
    values_uv = waves_uv()
    found = opened(FORMS[suffix](values_uv), suffix)
    signal, rate_hz = found.stretch(2.5, 4.0)
    assert (found.duration_s, rate_hz) == (12, RATE_HZ)
    assert signal.dtype == np.dtype([(name, "f8") for name in NAMES])
    for index, name in enumerate(NAMES):
        expected = values_uv[index, 250:650]
        np.testing.assert_allclose(signal[name], expected, rtol=0, atol=0.51 * STEP_UV[suffix] + 1e-6)


@pytest.mark.parametrize("suffix", FORMS)
def test_any_stretch_is_the_same_in_one_piece_or_several(suffix: str):
    found = opened(FORMS[suffix](waves_uv()), suffix)
    whole = found.stretch(0, 12)[0]
    pieces = [found.stretch(onset, 0.75)[0] for onset in np.arange(0, 12, 0.75)]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    assert len(found.stretch(11.99, 1)[0]) == 1  # no more than there is


@pytest.mark.parametrize("suffix", FORMS)
def test_the_file_goes_with_the_recording(suffix: str):
    found = opened(FORMS[suffix](waves_uv()), suffix)
    folder = Path(found.folder.name)
    assert [path.suffix for path in folder.iterdir()] == [suffix]
    del found
    gc.collect()
    assert not folder.exists()


def test_prefixes_and_what_is_no_eeg_are_left_out():
    names = ["EEG Fp1", "EEG A2-A1", "ECG ECG", "Resp", "EOG left", "VEOG", "Temp", "EMG1", "Oz", "SpO2", "Status"]
    units = ["uV"] * 8 + ["µV", "%", ""]
    values_uv = waves_uv(channels=len(names))
    signal, _ = opened(edf(values_uv, names, units=units)).stretch(0, 1)
    assert signal.dtype.names == ("Fp1", "A2-A1", "Oz")
    np.testing.assert_allclose(signal["Oz"], values_uv[8, :100], atol=0.02)


def test_other_channels_may_have_other_rates():
    """MNE alone would resample the EEG to the highest."""
    values_uv = waves_uv()
    signal, rate_hz = opened(edf(values_uv, ["Fp1", "ECG", "Cz"], rates_hz=[100, 250, 100])).stretch(0, 1)
    assert (signal.dtype.names, rate_hz) == (("Fp1", "Cz"), RATE_HZ)
    np.testing.assert_allclose(signal["Cz"], values_uv[2, :100], atol=0.02)


def test_millivolts_are_a_thousand():
    volts = edf(waves_uv(), units=["mV", "uV", "µV"])
    signal, _ = opened(volts).stretch(0, 1)
    np.testing.assert_allclose(signal["Fp1"], 1000 * waves_uv()[0, :100], atol=20)


@pytest.mark.parametrize("suffix", [".cnt", ".fif", ".set"])
def test_the_heart_is_no_eeg(suffix: str):
    signal, _ = opened(FORMS[suffix](waves_uv(), ["Fp1", "EKG", "VEO"]), suffix).stretch(0, 1)
    assert signal.dtype.names == ("Fp1",)


def test_fif_tells_what_is_eeg():
    signal, _ = opened(fif(waves_uv(), kinds=["eeg", "misc", "eeg"]), ".fif").stretch(0, 1)
    assert signal.dtype.names == ("Fp1", "O2")


# What is refused


@pytest.mark.parametrize("form", [edf, bdf])
@pytest.mark.parametrize("lost", [1, 600, 5_000])
def test_a_truncated_edf(form, lost: int):
    data = form(waves_uv())
    line = damaged(data[:-lost], ".edf", f"cut short: {len(data)} bytes told by its header, {len(data) - lost} found")
    assert line.count(":") == 1


@pytest.mark.parametrize("size", [0, 100, 255, 256, 300, 1_023])
def test_an_edf_without_a_whole_header(size: int):
    damaged(edf(waves_uv())[:size], ".edf", "not an EDF or BDF recording" if size < 256 else "its header is not whole")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (edf(waves_uv(channels=2), ["ECG", "Resp"]), ["no EEG channel; its channels: ECG (uV), Resp (uV)"]),
        (edf(waves_uv(), units=["UV", "%", "degC"]), ["no EEG channel", "Fp1 (UV), Cz (%), O2 (degC)"]),
        (edf(waves_uv(), rates_hz=[100, 200, 100]), ["EEG channels of 2 rates, 100 to 200 Hz; allowed: one"]),
        (edf(waves_uv(), kind="EDF+D"), ["interrupted recording (EDF+D)"]),
        (edf(waves_uv(), n_records=-1), ["-1 records", "not closed"]),
        (edf(waves_uv()).replace(b"0       ", b"PK\3\4    ", 1), ["not an EDF or BDF recording", "504b0304"]),
        (edf(waves_uv(), n_records="many"), ["b'many    ' in its header, where a number stands"]),
        (edf(waves_uv(rate_hz=5), rate_hz=5), ["5 Hz; allowed: 10 to 50000"]),
        (edf(waves_uv(), units=["", "", ""]), ["channel 'Fp1'", "µV; allowed: up to 1e+06"]),
    ],
)
def test_edf_that_is_refused(data: bytes, words: list[str]):
    damaged(data, ".edf", *words)


@pytest.mark.parametrize("suffix", [".cnt", ".fif", ".set"])
def test_without_eeg(suffix: str):
    damaged(FORMS[suffix](waves_uv(), ["ECG", "EMG1", "VEOG"]), suffix, "no EEG channel; its channels: ECG, EMG1, VEOG")


@pytest.mark.parametrize("suffix", [".cnt", ".fif", ".set"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.9])
def test_others_cut_short(suffix: str, share: float):
    """Of a FIF, what was cut off may just be missing at the end; what is left is whole."""
    values_uv = waves_uv(120)
    data = FORMS[suffix](values_uv)
    try:
        found = opened(data[: round(share * len(data))], suffix)
        signal, _ = found.stretch(0, found.duration_s)
    except DamagedSample as damage:
        assert re.match(rf"not a (whole {suffix[1:].upper()}|MATLAB)|its samples cannot be read", str(damage))  # noqa: PT017
    else:
        assert suffix == ".fif"
        np.testing.assert_allclose(signal["Cz"], values_uv[1, : len(signal)], atol=1e-6)


@pytest.mark.parametrize("suffix", FORMS)
def test_noise_in_the_bytes_is_damage_or_nothing(suffix: str):
    data = FORMS[suffix](waves_uv(2))
    for seed in range(12):
        rng, broken = random.Random(seed), bytearray(data)
        for _ in range(3):
            broken[rng.randrange(min(len(data), 1_500))] = rng.randrange(256)
        try:
            opened(bytes(broken), suffix).stretch(0, 0.5)
        except DamagedSample as damage:
            assert "\n" not in str(damage)  # noqa: PT017 - not every byte matters


def test_no_numbers():
    values_uv = waves_uv()
    values_uv[1, 50] = np.nan
    damaged(eeglab(values_uv), ".set", "channel 'Cz'", "no numbers")


@pytest.mark.parametrize(("onset_s", "duration_s"), [(12, 1), (-1, 2), (500, 1), (3, 0.001)])
def test_stretches_without_a_sample(onset_s: float, duration_s: float):
    with pytest.raises(DamagedSample, match="no sample in"):
        opened(edf(waves_uv())).stretch(onset_s, duration_s)


def test_stretches_are_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(recordings, "MAX_VALUES", 1_000)
    with pytest.raises(DamagedSample, match="12 s of 3 channels; allowed: 1000 samples"):
        opened(edf(waves_uv())).stretch(0, 12)


# EEGLAB


@pytest.mark.parametrize("name", ["x.fdt", "/etc/hostname.fdt", "../x.fdt", "{other}"])
def test_a_set_may_not_name_another_file(tmp_path: Path, name: str):
    other = tmp_path / "secret.fdt"
    other.write_bytes(np.zeros(3_600, np.float32).tobytes())
    damaged(eeglab(waves_uv(), data=name.replace("{other}", str(other))), ".set", "")


def test_a_set_uncompressed():
    signal, _ = opened(eeglab(waves_uv(), compressed=False), ".set").stretch(0, 1)
    np.testing.assert_allclose(signal["Cz"], waves_uv()[1, :100])


def test_a_mat_bomb_is_not_unpacked():
    head = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x0100) + b"IM"
    bomb = zlib.compress(bytes(30_000_000))
    stream = io.BytesIO(head + struct.pack("<II", 15, len(bomb)) + bomb)
    with pytest.raises(DamagedSample, match="more than 1000000 bytes unpacked"):
        mat.refuse_bomb(stream, 1_000_000)
    stream.seek(0)
    mat.refuse_bomb(stream, 30_000_000)


@pytest.mark.parametrize(
    ("data", "words"), [(b"MATLAB 7.3 MAT-file" + bytes(200), "version 7.3"), (b"", "not a MATLAB")]
)
def test_other_mat_files(data: bytes, words: str):
    damaged(data, ".set", words)


def test_cnt_of_no_channels():
    data = bytearray(cnt(waves_uv()))
    struct.pack_into("<H", data, 370, 0)
    damaged(bytes(data), ".cnt", "not a whole CNT recording")
