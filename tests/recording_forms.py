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


def bdf(values_uv: np.ndarray, names: list[str] = NAMES, **more: object) -> bytes:
    """Return BDF; options as of `edf`."""
    return edf(values_uv, names, bits=24, **more)


def cnt(values_uv: np.ndarray, names: list[str] = NAMES, rate_hz: int = RATE_HZ) -> bytes:
    """Return Neuroscan CNT of 32 bits, with interleaved channels. Source: paulbourke.net/dataformats/eeg."""
    samples = values_uv.shape[1]
    setup = bytearray(900)
    end = 900 + 75 * len(names) + 4 * values_uv.size
    setup[225:247] = b"01/01/20  10:00:00    "
    for offset, form, value in ((370, "<H", len(names)), (376, "<H", rate_hz), (864, "<i", samples), (886, "<i", end)):
        struct.pack_into(form, setup, offset, value)
    for index, name in enumerate(names):
        electrode = bytearray(75)
        electrode[: len(name)] = name.encode()
        struct.pack_into("<ff", electrode, 19, index, index)
        struct.pack_into("<f", electrode, 59, 1.0)
        struct.pack_into("<f", electrode, 71, 0.2048)  # one step is 1 nV
        setup += electrode
    return bytes(setup) + np.round(1000 * values_uv.T).astype("<i4").tobytes() + struct.pack("<Bll", 1, 0, 0)


def fif(
    values_uv: np.ndarray, names: list[str] = NAMES, rate_hz: int = RATE_HZ, kinds: str | list[str] = "eeg"
) -> bytes:
    """Return FIF. `kinds`: MNE's channel types."""
    import mne

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(action="ignore"):
        path = Path(folder) / "x_raw.fif"
        mne.io.RawArray(values_uv / 1e6, mne.create_info(names, rate_hz, kinds), verbose="ERROR").save(
            path, fmt="double", verbose="ERROR"
        )
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


FORMS = {".edf": edf, ".bdf": bdf, ".cnt": cnt, ".fif": fif, ".set": eeglab}
# Largest rounding error of each format, in µV.
STEP_UV = {".edf": LIMIT_UV / 2**15, ".bdf": LIMIT_UV / 2**23, ".cnt": 0.001, ".fif": 1e-9, ".set": 1e-9}
