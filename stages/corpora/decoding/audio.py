"""Decodes a clip from outside: format, length, rate and channels are checked before a sample is decompressed."""

import io
import struct
import wave

import numpy as np
import soundfile

from stages.core.records import DamagedSample, Signal

# Files that are meant as audio: those of other formats are named as damaged, not passed over.
SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aif", ".aiff", ".m4a", ".aac", ".wma")
FORMATS = "WAV, FLAC, MP3 or Ogg"
MAX_DURATION_S = 600
MIN_RATE_HZ, MAX_RATE_HZ = 4_000, 384_000
MAX_CHANNELS = 8
MAX_VALUES = 1 << 27  # samples of all channels together: half a GiB of float32
MIN_PEAK_DBFS = -80  # half a step of 13 bits: below it nothing was said
MAX_PEAK = 1e5  # float files may exceed full scale (1), even hold 16-bit values, but no clip squares to infinity

_MAGIC = {b"RIFF": "WAV", b"RF64": "WAV", b"fLaC": "FLAC", b"OggS": "Ogg", b"ID3": "MP3"}
_GIT_LFS = b"version https://git-lfs"
_LENGTH_UNTOLD = (1 << 63) - 1  # libsndfile's SF_COUNT_MAX
_PIPED_BYTES = 0x7FFFF000  # what writes to a pipe knows no size and puts one from here on; no clip is that long
_LAST_PAGE = 0x04  # flag of the page that ends an Ogg stream


def decode_audio(data: bytes) -> Signal:
    """(channels, samples) float32, full scale 1, and the rate in Hz. Raises `DamagedSample`.

    A variable-bitrate MP3 without a Xing header ends where libsndfile guesses; encoders of this century write one.
    """
    kind = _kind(data)
    if kind == "WAV":
        _refuse_cut_wav(data)
    if kind == "Ogg":
        _refuse_cut_ogg(data)
    usual = _usual_wav(data) if kind == "WAV" else None
    samples, rate_hz = _any_format(data, kind) if usual is None else usual
    _check_samples(samples)
    return np.ascontiguousarray(samples.T), float(rate_hz)


def _usual_wav(data: bytes) -> tuple[np.ndarray, int] | None:
    """(samples, channels) float32 and rate of a WAV of 16 bits, to the same values; None leaves it to libsndfile.

    libsndfile calls Python for every 8 KB, so that one thread decoding keeps all others waiting for Python's lock.
    """
    try:
        with wave.open(io.BytesIO(data)) as clip:
            rate_hz, channels, told = clip.getframerate(), clip.getnchannels(), clip.getnframes()
            if clip.getsampwidth() != 2 or 2 * channels * told > len(data):
                return None
            _check_header(rate_hz, channels, told)
            values = np.frombuffer(clip.readframes(told), "<i2").reshape(-1, channels)
    except (wave.Error, EOFError, RuntimeError, ValueError):
        return None
    return (values * np.float32(1 / 32_768), rate_hz) if len(values) == told else None


def _any_format(data: bytes, kind: str) -> tuple[np.ndarray, int]:
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as clip:
            _check_header(clip.samplerate, clip.channels, clip.frames)
            samples, told, rate_hz = clip.read(clip.frames, "float32", always_2d=True), clip.frames, clip.samplerate
    except soundfile.LibsndfileError as error:
        raise DamagedSample(f"not whole {kind} audio ({_reason(error)})") from None
    if len(samples) != told:
        raise DamagedSample(f"cut short: {told} samples told by its header, {len(samples)} found")
    return samples, rate_hz


def _kind(data: bytes) -> str:
    """By content: a text file called .wav is none, and none of libsndfile's rarer parsers sees bytes from outside."""
    if data[:1] == b"\xff" and len(data) > 1 and data[1] & 0xE6 == 0xE2:  # sync bits of an MPEG frame, layer III
        return "MP3"
    for magic, kind in _MAGIC.items():
        if data.startswith(magic):
            return kind
    if data.startswith(_GIT_LFS):
        raise DamagedSample("a Git LFS pointer instead of the audio; 'git lfs pull' fetches it")
    received = f"{len(data)} bytes starting {data[:8].hex()}" if data else "0 bytes"
    raise DamagedSample(f"not {FORMATS} audio ({received})")


def _reason(error: soundfile.LibsndfileError) -> str:
    reason = error.error_string.rstrip(".").removeprefix("Error : ")
    return "no frames" if reason.startswith("File does not exist") else reason  # said of an MP3 without any


def _refuse_cut_wav(data: bytes) -> None:
    """libsndfile reads as much as there is and says nothing."""
    position, long_bytes = 12, None
    while position + 8 <= len(data):
        name, size_bytes = struct.unpack_from("<4sI", data, position)
        position += 8
        if name == b"ds64" and position + 16 <= len(data):  # of RF64: sizes of the file and its samples, in 64 bits
            long_bytes = struct.unpack_from("<Q", data, position + 8)[0]
        if name == b"data":
            found, told = len(data) - position, size_bytes if long_bytes is None else long_bytes
            if found < told and (long_bytes is not None or told < _PIPED_BYTES):
                raise DamagedSample(f"cut short: {told} bytes of samples told by its header, {found} found")
            return
        position += size_bytes + size_bytes % 2  # chunks are padded to even lengths


def _refuse_cut_ogg(data: bytes) -> None:
    """As with WAV. A page tells the lengths of its segments, and whether it is the last."""
    page = data.rfind(b"OggS")
    header = data[page : page + 27].ljust(27, b"\0")
    lengths = data[page + 27 : page + 27 + header[26]]
    if not header[5] & _LAST_PAGE or page + 27 + header[26] + sum(lengths) > len(data):
        raise DamagedSample("cut short: its last page is missing or not whole")


def _check_header(rate_hz: int, channels: int, samples: int) -> None:
    if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        raise DamagedSample(f"{rate_hz} Hz; allowed: {MIN_RATE_HZ} to {MAX_RATE_HZ}")
    if channels > MAX_CHANNELS:
        raise DamagedSample(f"{channels} channels; allowed: at most {MAX_CHANNELS}")
    if samples == 0:
        raise DamagedSample("no samples")
    if samples == _LENGTH_UNTOLD:
        raise DamagedSample("its header does not tell how long it is")
    if samples > MAX_DURATION_S * rate_hz:
        raise DamagedSample(f"{samples / rate_hz:.0f} s long; allowed: at most {MAX_DURATION_S}")
    if samples * channels > MAX_VALUES:
        raise DamagedSample(f"{samples} samples x {channels} channels; allowed: at most {MAX_VALUES} in all")


def _check_samples(samples: np.ndarray) -> None:
    peak = max(float(samples.max()), -float(samples.min()))  # NaN if one of them is
    if not np.isfinite(peak):
        raise DamagedSample("samples that are no numbers (NaN or infinite)")
    if peak > MAX_PEAK:
        raise DamagedSample(f"a sample of {peak:.0e}; allowed: up to {MAX_PEAK:.0e} (full scale is 1)")
    if peak < 10 ** (MIN_PEAK_DBFS / 20):
        loudest = f"peak {20 * np.log10(peak):.0f} dBFS" if peak else "all samples are 0"
        raise DamagedSample(f"silence: {loudest}; allowed: a peak of at least {MIN_PEAK_DBFS} dBFS")
