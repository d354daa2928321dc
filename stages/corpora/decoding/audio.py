"""Decoding of untrusted audio: format, length, rate and channels are checked before any sample is decompressed."""

import io
import struct
import wave

import numpy as np
import soundfile

from stages.core.records import DamagedSample, Signal
from stages.corpora.decoding import mp3

# Suffixes of audio files. Those in other formats are reported as damaged, not ignored.
SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aif", ".aiff", ".m4a", ".aac", ".wma")
FORMATS = "WAV, FLAC, MP3 or Ogg"
MAX_DURATION_S = 600
MIN_RATE_HZ, MAX_RATE_HZ = 4_000, 384_000
MAX_CHANNELS = 8
MAX_VALUES = 1 << 27  # largest clip, all channels together: half a GiB of float32
MIN_PEAK_DBFS = -80  # half a quantisation step of 13 bits; below it, the clip contains no speech
MAX_PEAK = 1e5  # float files may exceed full scale (1), but squares must stay finite
# Float files may also hold integers of 16, 24 or 32 bits. More than 24 dB above full scale is no recording of floats.
INTEGER_PEAK, FULL_SCALES = 16, (1 << 15, 1 << 23, 1 << 31)

_MAGIC = {b"RIFF": "WAV", b"RF64": "WAV", b"fLaC": "FLAC", b"OggS": "Ogg", b"ID3": "MP3"}
# Formats that libsndfile does not read, or not from memory, by what a file has at a position.
_UNREAD = (
    (4, b"ftyp", "M4A or MP4"),
    (0, b"#!AMR", "AMR"),
    (0, b"\x30\x26\xb2\x75", "WMA"),
    (0, b"\xff\xf1", "AAC"),
    (0, b"\xff\xf9", "AAC"),
    (0, b"FORM", "AIFF"),
    (0, b"caff", "CAF"),
    (0, b"\x1aE\xdf\xa3", "Matroska or WebM"),
)
_GIT_LFS = b"version https://git-lfs"
_UNKNOWN_LENGTH = (1 << 63) - 1  # libsndfile's SF_COUNT_MAX
# Programs that write a WAV to a pipe do not know its size, and state this or more. No clip is that long.
_PIPE_BYTES = 0x7FFFF000
_LAST_PAGE = 0x04  # flag of the page that ends an Ogg stream


def decode_audio(data: bytes) -> Signal:
    """Return (channels, samples) float32, full scale 1, and the rate in Hz. Raises `DamagedSample`."""
    form = _format_of(data)
    if form == "WAV":
        _refuse_truncated_wav(data)
    if form == "Ogg":
        _refuse_truncated_ogg(data)
    if form == "MP3":
        data = mp3.with_length(data)
    samples, rate_hz = (_decode_pcm16(data) if form == "WAV" else None) or _decode_any(data, form)
    samples = _scaled(samples)
    _check_samples(samples)
    return np.ascontiguousarray(samples.T), float(rate_hz)


def _decode_pcm16(data: bytes) -> tuple[np.ndarray, int] | None:
    """Return (samples, channels) float32 and rate of a 16-bit WAV, with the values of libsndfile; else None."""
    # libsndfile calls Python for every 8 KB, so that one decoding thread keeps all others waiting for Python's lock.
    try:
        with wave.open(io.BytesIO(data)) as clip:
            rate_hz, channels, length = clip.getframerate(), clip.getnchannels(), clip.getnframes()
            if clip.getsampwidth() != 2 or 2 * channels * length > len(data):
                return None
            _check_header(rate_hz, channels, length)
            values = np.frombuffer(clip.readframes(length), "<i2").reshape(-1, channels)
    except (wave.Error, EOFError, RuntimeError, ValueError):
        return None
    return (values * np.float32(1 / 32_768), rate_hz) if len(values) == length else None


def _decode_any(data: bytes, form: str) -> tuple[np.ndarray, int]:
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as clip:
            rate_hz, length = clip.samplerate, clip.frames
            _check_header(rate_hz, clip.channels, length)
            samples = clip.read(length, "float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        reason = error.error_string.rstrip(".").removeprefix("Error : ")
        reason = "no frames" if reason.startswith("File does not exist") else reason  # for an MP3 without frames
        raise DamagedSample(f"not a whole {form} file ({reason})") from None
    if len(samples) != length:
        raise DamagedSample(f"cut short: its header states {length} samples, but {len(samples)} were found")
    return samples, rate_hz


def _format_of(data: bytes) -> str:
    """Return the format by content, so that neither a text called .wav nor a rare format reaches libsndfile."""
    if data[:1] == b"\xff" and len(data) > 1 and data[1] & 0xE6 == 0xE2:  # sync bits of an MPEG frame, layer III
        return "MP3"
    for magic, form in _MAGIC.items():
        if data.startswith(magic):
            return form
    if data.startswith(_GIT_LFS):
        raise DamagedSample("a Git LFS pointer instead of the audio; 'git lfs pull' fetches it")
    for position, magic, form in _UNREAD:
        if data.startswith(magic, position):
            raise DamagedSample(f"{form} audio; allowed: {FORMATS}, which ffmpeg -i clip clip.wav makes of it")
    received = f"{len(data)} bytes starting {data[:8].hex()}" if data else "0 bytes"
    raise DamagedSample(f"not {FORMATS} audio ({received})")


def _refuse_truncated_wav(data: bytes) -> None:
    """Raise `DamagedSample` if samples are missing, for which libsndfile raises no error."""
    position, long_bytes = 12, None
    while position + 8 <= len(data):
        name, size_bytes = struct.unpack_from("<4sI", data, position)
        position += 8
        if name == b"ds64" and position + 16 <= len(data):  # RF64 states sizes of the file and its samples in 64 bits
            long_bytes = struct.unpack_from("<Q", data, position + 8)[0]
        if name == b"data":
            found, stated = len(data) - position, size_bytes if long_bytes is None else long_bytes
            if found < stated and (long_bytes is not None or stated < _PIPE_BYTES):
                raise DamagedSample(f"cut short: its header states {stated} bytes of samples, but {found} were found")
            return
        position += size_bytes + size_bytes % 2  # chunks are padded to even lengths


def _refuse_truncated_ogg(data: bytes) -> None:
    """Raise `DamagedSample` if the last page is missing, or shorter than its header states."""
    page = data.rfind(b"OggS")
    header = data[page : page + 27].ljust(27, b"\0")
    lengths = data[page + 27 : page + 27 + header[26]]
    if not header[5] & _LAST_PAGE or page + 27 + header[26] + sum(lengths) > len(data):
        raise DamagedSample("cut short: its last page is missing or incomplete")


def _check_header(rate_hz: int, channels: int, samples: int) -> None:
    if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        raise DamagedSample(f"{rate_hz} Hz; allowed: {MIN_RATE_HZ} to {MAX_RATE_HZ}")
    if channels > MAX_CHANNELS:
        raise DamagedSample(f"{channels} channels; allowed: at most {MAX_CHANNELS}")
    if samples == 0:
        raise DamagedSample("no samples")
    if samples == _UNKNOWN_LENGTH:
        raise DamagedSample("its header does not state its length")
    if samples > MAX_DURATION_S * rate_hz:
        raise DamagedSample(f"{samples / rate_hz:.0f} s long; allowed: at most {MAX_DURATION_S}")
    if samples * channels > MAX_VALUES:
        raise DamagedSample(f"{samples} samples x {channels} channels; allowed: at most {MAX_VALUES} in all")


def _scaled(samples: np.ndarray) -> np.ndarray:
    """Return the samples with full scale 1, if they are the integers of 16, 24 or 32 bits, else as they are."""
    peak = max(float(samples.max()), -float(samples.min()))
    if not INTEGER_PEAK < peak < np.inf or np.quantile(np.abs(samples), 0.99) <= 1:  # the latter: a click
        return samples
    full_scale = next((scale for scale in FULL_SCALES if peak <= 2 * scale), 1)  # resampling exceeds it a little
    return samples / np.float32(full_scale)


def _check_samples(samples: np.ndarray) -> None:
    peak = max(float(samples.max()), -float(samples.min()))  # NaN if any sample is NaN
    if not np.isfinite(peak):
        raise DamagedSample("samples that are NaN or infinite")
    if peak > MAX_PEAK:
        raise DamagedSample(f"a sample of {peak:.0e}; allowed: up to {MAX_PEAK:.0e} (full scale is 1)")
    if peak < 10 ** (MIN_PEAK_DBFS / 20):
        loudest = f"peak {20 * np.log10(peak):.0f} dBFS" if peak else "all samples are 0"
        raise DamagedSample(f"silence: {loudest}; allowed: a peak of at least {MIN_PEAK_DBFS} dBFS")
