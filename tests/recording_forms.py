"""EEG recordings in every supported format; EDF, BDF and CNT are written by hand, since no library here writes them."""

import io
import struct
import tempfile
import warnings
from pathlib import Path

import numpy as np
from scipy.io import savemat

RATE_HZ = 100
NAMES = ["Fp1", "Cz", "O2"]
LIMIT_UV = 800.0  # physical maximum of EDF and BDF


def waves_uv(seconds: float = 12.0, channels: int = 3, seed: int = 0, rate_hz: int = RATE_HZ) -> np.ndarray:
    """Return noise (channels, samples) with a different mean in each channel."""
    rng = np.random.default_rng(seed)
    return rng.normal(10 * np.arange(channels)[:, None], 20, (channels, round(seconds * rate_hz)))


def edf(
    values_uv: np.ndarray,
    names: list[str] = NAMES,
    rate_hz: int = RATE_HZ,
    units: list[str] | None = None,
    rates_hz: list[int] | None = None,
    bits: int = 16,
    kind: str = "",
    n_records: int | None = None,
) -> bytes:
    """Return EDF (or BDF with 24 `bits`) in records of one second; an incomplete last second is left out.

    `rates_hz`: rate of each channel, if they differ. `kind`: reserved field of the header, such as EDF+C. `n_records`:
    number of records that the header states, if it is wrong. Source: Kemp et al. 1992.
    """
    rates = rates_hz or [rate_hz] * len(names)
    seconds = values_uv.shape[1] // rate_hz
    fixed = [
        ("", 80),
        (f"{-LIMIT_UV:g}", 8),
        (f"{LIMIT_UV:g}", 8),
        (1 - 2 ** (bits - 1), 8),
        (2 ** (bits - 1) - 1, 8),
    ]
    transducer, *limits = ([field] * len(names) for field in fixed)
    columns = [
        [(name, 16) for name in names],
        transducer,
        [(unit, 8) for unit in units or ["uV"] * len(names)],
        *limits,
    ]
    columns += [transducer, [(rate, 8) for rate in rates], [("", 32)] * len(names)]
    start = b"0       " if bits == 16 else b"\xffBIOSEMI"
    fields = [("X", 80), ("X", 80), ("01.01.20", 8), ("10.00.00", 8), (256 * (1 + len(names)), 8), (kind, 44)]
    fields += [(seconds if n_records is None else n_records, 8), (1, 8), (len(names), 4)]
    fields += [cell for column in columns for cell in column]
    header = start + b"".join(str(text).encode("latin-1").ljust(width)[:width] for text, width in fields)
    return header + b"".join(_record(values_uv, second, rates, rate_hz, bits) for second in range(seconds))


def _record(values_uv: np.ndarray, second: int, rates: list[int], rate_hz: int, bits: int) -> bytes:
    record = b""
    for row, rate in zip(values_uv, rates, strict=True):
        samples = np.resize(row[second * rate_hz : (second + 1) * rate_hz], rate)
        digital = np.round(samples / LIMIT_UV * (2 ** (bits - 1) - 1)).astype("<i4")
        record += digital.view(np.uint8).reshape(-1, 4)[:, : bits // 8].tobytes()
    return record


def edf_plus(
    values_uv: np.ndarray,
    marks: list[tuple[float, float, str]],
    starts: list[float] | None = None,
    bits: int = 16,
    rate_hz: int = RATE_HZ,
) -> bytes:
    """Return EDF+ with (onset, duration in seconds, text) of every mark in the first second's annotations.

    `starts`: the time of every record, for an interrupted recording (EDF+D). 24 `bits` make BDF+.
    """
    name = "EDF" if bits == 16 else "BDF"
    rows = np.vstack([values_uv, values_uv[:1]])
    kind = f"{name}+{'D' if starts else 'C'}"
    data = bytearray(edf(rows, [*NAMES, f"{name} Annotations"], rate_hz, kind=kind, bits=bits))
    eeg_bytes, own_bytes = bits // 8 * rate_hz * len(NAMES), bits // 8 * rate_hz
    for second in range(values_uv.shape[1] // rate_hz):
        text = f"+{starts[second] if starts else second:g}\x14\x14\0"
        text += "".join(f"+{on:g}\x15{lasts:g}\x14{name}\x14\0" for on, lasts, name in marks if second == 0)
        start = 256 * (2 + len(NAMES)) + second * (eeg_bytes + own_bytes) + eeg_bytes
        data[start : start + own_bytes] = text.encode().ljust(own_bytes, b"\0")
    return bytes(data)


def bdf(values_uv: np.ndarray, names: list[str] = NAMES, **more: object) -> bytes:
    """Return BDF; options as of `edf`."""
    return edf(values_uv, names, bits=24, **more)


def cnt(
    values_uv: np.ndarray,
    names: list[str] = NAMES,
    rate_hz: int = RATE_HZ,
    bits: int = 32,
    stated: int | None = None,
    stated_end: int | None = None,
) -> bytes:
    """Return Neuroscan CNT with interleaved channels. Source: paulbourke.net/dataformats/eeg.

    `stated`, `stated_end`: number of samples and end of the samples that the header states, if they are wrong.
    """
    samples = values_uv.shape[1] if stated is None else stated
    setup = bytearray(900)
    end = 900 + 75 * len(names) + bits // 8 * values_uv.size if stated_end is None else stated_end
    setup[225:247] = b"01/01/20  10:00:00    "
    for offset, form, value in ((370, "<H", len(names)), (376, "<H", rate_hz), (864, "<i", samples), (886, "<i", end)):
        struct.pack_into(form, setup, offset, value)
    for index, name in enumerate(names):
        electrode = bytearray(75)
        electrode[: len(name)] = name.encode()
        struct.pack_into("<ff", electrode, 19, index, index)
        struct.pack_into("<f", electrode, 59, 1.0)
        struct.pack_into("<f", electrode, 71, 0.2048 * (1 if bits == 32 else 50))  # one step is 1 or 50 nV
        setup += electrode
    steps = np.round((1000 if bits == 32 else 20) * values_uv.T)
    return bytes(setup) + steps.astype(f"<i{bits // 8}").tobytes() + struct.pack("<Bll", 1, 0, 0)


def fif(
    values_uv: np.ndarray,
    names: list[str] = NAMES,
    rate_hz: int = RATE_HZ,
    kinds: str | list[str] = "eeg",
    marks: list[tuple[float, float, str]] = (),
) -> bytes:
    """Return FIF. `kinds`: MNE's channel types. `marks`: onset and duration in seconds, and text, of annotations."""
    import mne

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(action="ignore"):
        path = Path(folder) / "x_raw.fif"
        raw = mne.io.RawArray(values_uv / 1e6, mne.create_info(names, rate_hz, kinds), verbose="ERROR")
        raw.set_annotations(mne.Annotations(*(list(column) for column in zip(*marks, strict=True))) if marks else None)
        raw.save(path, fmt="double", verbose="ERROR")
        return path.read_bytes()


def eeglab(
    values_uv: np.ndarray,
    names: list[str] = NAMES,
    rate_hz: int = RATE_HZ,
    data: object = None,
    compressed: bool = True,
) -> bytes:
    """Return an EEGLAB SET that contains its samples, or `data` in their place, such as the name of another file."""
    channels = np.zeros(len(names), dtype=[("labels", "O"), ("type", "O")])
    channels["labels"], channels["type"] = names, "EEG"
    samples = values_uv.shape[1]
    fields = {"setname": "x", "nbchan": len(names), "trials": 1, "pnts": samples, "srate": float(rate_hz), "xmin": 0.0}
    fields |= {"xmax": samples / rate_hz, "chanlocs": channels, "event": [], "epoch": [], "icaact": []}
    stream = io.BytesIO()
    savemat(stream, {"EEG": fields | {"data": values_uv if data is None else data}}, do_compression=compressed)
    return stream.getvalue()


def brainvision(
    values_uv: np.ndarray, stem: str = "x", data: str | None = None, markers: list[tuple[float, float, str]] = ()
) -> dict[str, bytes]:
    """Return {suffix: content} of a header that names `data` (else `stem`.eeg), its float32 samples and its markers."""
    rows = "".join(f"Ch{i}={name},,1,µV\n" for i, name in enumerate(NAMES, start=1))
    header = f"""Brain Vision Data Exchange Header File Version 1.0
[Common Infos]
Codepage=UTF-8
DataFile={data or f"{stem}.eeg"}
MarkerFile={stem}.vmrk
DataFormat=BINARY
DataOrientation=MULTIPLEXED
NumberOfChannels={len(NAMES)}
SamplingInterval={1e6 / RATE_HZ:g}
[Binary Infos]
BinaryFormat=IEEE_FLOAT_32
[Channel Infos]
{rows}"""
    lines = [f"Mk{i}=Stimulus,{text},{round(on * RATE_HZ) + 1},{round(lasts * RATE_HZ)},0\n" for i, (on, lasts, text) in
             enumerate(markers, start=1)]  # fmt: skip
    start = (
        f"Brain Vision Data Exchange Marker File, Version 1.0\n[Common Infos]\nCodepage=UTF-8\nDataFile={stem}.eeg\n"
    )
    marker = f"{start}[Marker Infos]\n{''.join(lines)}"
    return {".vhdr": header.encode(), ".eeg": values_uv.T.astype("<f4").tobytes(), ".vmrk": marker.encode()}


FORMS = {".edf": edf, ".bdf": bdf, ".cnt": cnt, ".fif": fif, ".set": eeglab}
# Largest rounding error of each format, in µV.
STEP_UV = {".edf": LIMIT_UV / 2**15, ".bdf": LIMIT_UV / 2**23, ".cnt": 0.001, ".fif": 1e-9, ".set": 1e-9}
