"""Decoding of audio in every format, and the reasons for which a clip is a damaged sample."""

import io
import resource
import struct
from collections import Counter

import numpy as np
import pytest
import soundfile
from speech_files import CLIP, encoded, tone

from stages.core.records import DamagedSample
from stages.corpora.decoding import mp3
from stages.corpora.decoding.audio import decode_audio

# {format and subtype: largest error of a sample after a round trip}
LOSSLESS = {
    ("WAV", "PCM_U8"): 1 / 128,
    ("WAV", "PCM_16"): 1 / 32_768,
    ("WAV", "PCM_24"): 1e-6,
    ("WAV", "FLOAT"): 1e-7,
    ("WAVEX", "PCM_16"): 1 / 32_768,
    ("RF64", "PCM_16"): 1 / 32_768,
    ("FLAC", "PCM_24"): 1e-6,
}


@pytest.mark.parametrize(("form", "subtype"), LOSSLESS)
@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 96_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_lossless_formats(form: str, subtype: str, rate_hz: int, channels: int):
    written = tone(0.05, rate_hz, channels)
    samples, rate = decode_audio(encoded(written, rate_hz, form, subtype))
    assert (samples.dtype, rate) == (np.float32, rate_hz)
    assert isinstance(rate, float)
    assert samples.flags.c_contiguous
    np.testing.assert_allclose(samples, written.T, atol=LOSSLESS[form, subtype])


@pytest.mark.parametrize(
    ("form", "subtype", "rate_hz"),
    [
        ("MP3", "MPEG_LAYER_III", 44_100),
        ("OGG", "VORBIS", 22_050),
        ("OGG", "OPUS", 48_000),
        ("WAV", "IMA_ADPCM", 16_000),
        ("WAV", "GSM610", 8_000),
    ],
)
def test_lossy_formats(form: str, subtype: str, rate_hz: int):
    written = tone(0.5, rate_hz)[:, 0]
    samples, rate = decode_audio(encoded(written, rate_hz, form, subtype))
    assert (samples.dtype, rate, samples.shape[0]) == (np.float32, rate_hz, 1)
    assert abs(samples.shape[1] - len(written)) < 1100  # GSM and ADPCM fill their last block
    assert np.corrcoef(samples[0, : len(written)], written)[0, 1] > 0.95


def test_mp3_with_an_id3_tag():
    tag = b"ID3\x04\x00\x00\x00\x00\x00\x0a" + bytes(10)
    plain = encoded(tone(0.5), form="MP3")
    np.testing.assert_array_equal(decode_audio(tag + plain)[0], decode_audio(plain)[0])


def test_ignores_other_chunks_of_a_wav():
    head, data = CLIP[:36], CLIP[36:]
    note = b"LIST" + struct.pack("<I", 5) + b"notes" + b"\0"  # of odd length, padded
    np.testing.assert_array_equal(decode_audio(head + note + data + note)[0], decode_audio(CLIP)[0])


@pytest.mark.parametrize("stated", [0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000])
def test_wav_written_to_a_pipe_is_whole(stated: int):
    """ffmpeg and sox cannot go back to fill in a size."""
    np.testing.assert_array_equal(decode_audio(stating(CLIP, stated))[0], decode_audio(CLIP)[0])


def stating(wav: bytes, size_bytes: int) -> bytes:
    """Return the WAV with another stated size of its samples."""
    at = wav.index(b"data") + 4
    return wav[:at] + struct.pack("<I", size_bytes) + wav[at + 4 :]


def rf64(size_bytes: int | None = None) -> bytes:
    """Return an RF64 with 1,600 bytes of samples that may state another number."""
    data = bytearray(encoded(tone(), form="RF64"))
    if size_bytes is not None:
        at = data.index(b"ds64") + 16
        data[at : at + 8] = struct.pack("<Q", size_bytes)
    return bytes(data)


def header(rate_hz: int = 16_000, channels: int = 1, data_bytes: int = 800) -> bytes:
    """Return a 16-bit WAV with any values in its header."""
    form = struct.pack("<HHIIHH", 1, channels, rate_hz, rate_hz * channels * 2 % 2**32, channels * 2 % 65_536, 16)
    body = b"fmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", data_bytes) + b"\1\2" * 400
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WAVE" + body


def flac_of(samples: int) -> bytes:
    """Return a small FLAC that states this number of samples (36 bits of its first block)."""
    data = bytearray(encoded(tone(), form="FLAC"))
    data[21] = data[21] & 0xF0 | samples >> 32
    data[22:26] = struct.pack(">I", samples & 0xFFFFFFFF)
    return bytes(data)


def loudness(peak: float, subtype: str = "FLOAT") -> bytes:
    return encoded(np.linspace(-peak, peak, 100), subtype=subtype)


def with_sample(value: float) -> bytes:
    samples = tone()
    samples[17] = value
    return encoded(samples, subtype="FLOAT")


WAV, FLAC, MP3, VORBIS, OPUS = (
    encoded(tone(2, 48_000), 48_000, form, subtype)
    for form, subtype in [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("MP3", None), ("OGG", "VORBIS"), ("OGG", "OPUS")]
)
DAMAGED = {
    "empty": (b"", r"not WAV, FLAC, MP3 or Ogg audio \(0 bytes\)"),
    "text": (b"hello\nworld", r"not WAV, FLAC, MP3 or Ogg audio \(11 bytes starting 68656c6c6f0a776f\)"),
    "one byte": (b"\xff", "not WAV, FLAC, MP3 or Ogg audio"),
    "AIFF": (encoded(tone(), form="AIFF"), "AIFF audio; allowed: WAV, FLAC, MP3 or Ogg"),
    "M4A of a phone": (
        b"\0\0\0\x1cftypmp42" + bytes(99),
        "M4A or MP4 audio; allowed: WAV, FLAC, MP3 or Ogg, which ffmpeg",
    ),
    "AMR": (b"#!AMR\n" + bytes(99), "AMR audio"),
    "AAC": (b"\xff\xf1\x50\x80" + bytes(99), "AAC audio"),
    "WMA": (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "WMA audio"),
    "Git LFS pointer": (b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer"),
    "WAV's first bytes": (WAV[:20], "not a whole WAV file"),
    "half a WAV": (WAV[: len(WAV) // 2], "cut short: .* 192000 bytes of samples, but 95978"),
    "WAV without its last byte": (WAV[:-1], "cut short: .* 192000 bytes of samples, but 191999"),
    "WAV that states more": (stating(WAV, 0x7FFFEFFF), "cut short"),
    "half an RF64": (rf64()[:-800], "cut short: .* 1600 bytes of samples, but 800"),
    "RF64 of 5 GB": (rf64(5 << 30), "cut short: .* 5368709120 bytes of samples, but 1600"),
    "half a FLAC": (FLAC[: len(FLAC) // 2], r"not a whole FLAC file \(flac decoder lost sync\)"),
    "FLAC without its end": (FLAC[:-3], "not a whole FLAC file"),
    "half an MP3": (MP3[: len(MP3) // 2], "cut short: .* 96000 samples, but [0-9]+"),
    "MP3's first bytes": (MP3[:300], r"not a whole MP3 file \(no frames\)"),
    "half a Vorbis": (VORBIS[: len(VORBIS) // 2], "cut short: its last page"),
    "Vorbis without its last byte": (VORBIS[:-1], "cut short: its last page"),
    "Opus without its last page": (OPUS[: OPUS.rindex(b"OggS")], "cut short: its last page"),
    "no samples": (encoded(np.zeros((0, 1))), "no samples"),
    "all zeros": (loudness(0), "silence: all samples are 0; allowed: .* -80 dBFS"),
    "faint": (loudness(5e-5), "silence: peak -86 dBFS; allowed: .* -80 dBFS"),
    "NaN": (with_sample(np.nan), "samples that are NaN or infinite"),
    "infinite": (with_sample(-np.inf), "samples that are NaN or infinite"),
    "huge sample": (with_sample(1e30), r"a sample of 1e\+30; allowed: up to 1e\+05 \(full scale is 1\)"),
    "low rate": (header(3_999), "3999 Hz; allowed: 4000 to 384000"),
    "high rate": (header(384_001), "384001 Hz; allowed: 4000 to 384000"),
    "rate 0": (header(0), "."),
    "9 channels": (header(channels=9, data_bytes=792), "9 channels; allowed: at most 8"),
    "2^36 samples": (flac_of(2**36 - 1), "4294967 s long; allowed: at most 600"),
    "length unknown": (flac_of(0), "its header does not state its length"),
}


@pytest.mark.parametrize(("data", "reason"), DAMAGED.values(), ids=DAMAGED)
def test_reports_damaged_samples(data: bytes, reason: str):
    with pytest.raises(DamagedSample, match=f"^{reason}") as damaged:
        decode_audio(data)
    assert str(damaged.value).isprintable()
    assert len(str(damaged.value)) < 120


@pytest.mark.parametrize("peak", [1.01e-4, 1.0, 3.0, 15.9])
def test_accepts_faint_and_loud_clips(peak: float):
    assert decode_audio(loudness(peak))[0].max() == np.float32(peak)


@pytest.mark.parametrize("level", [0.01, 0.5, 1.0, 1.1])
@pytest.mark.parametrize("full_scale", [1 << 15, 1 << 23, 1 << 31])
@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_integers_in_float_files_are_scaled(subtype: str, full_scale: int, level: float):
    expected = decode_audio(encoded(level * tone(), subtype="FLOAT"))[0]
    samples, _ = decode_audio(encoded(level * full_scale * tone(), subtype=subtype))
    scale = np.abs(samples).max() / np.abs(expected).max()
    np.testing.assert_allclose(samples, expected * scale, atol=1e-6)
    assert scale == pytest.approx(1, rel=1e-5) or level == 0.01  # so faint 24 bits may be taken for 16


def test_a_click_far_above_full_scale_scales_nothing():
    expected, samples = decode_audio(CLIP)[0], decode_audio(with_sample(900.0))[0]
    np.testing.assert_allclose(np.delete(samples, 17), np.delete(expected, 17), atol=1e-4)


def speech_mp3(rate_hz: int, channels: int, mode: str = "VARIABLE", seconds: float = 4.3) -> bytes:
    """Return an MP3 of loud and quiet seconds, whose bit rates differ."""
    time_s = np.arange(round(rate_hz * seconds)) / rate_hz
    noise = 0.2 * np.random.default_rng(0).normal(size=len(time_s))
    signal = np.where(time_s % 1 < 0.5, 0.01 * np.sin(2 * np.pi * 200 * time_s), noise)
    stream = io.BytesIO()
    soundfile.write(
        stream, np.stack([signal] * channels, 1), rate_hz, format="MP3", bitrate_mode=mode, compression_level=0.5
    )
    return stream.getvalue()


def without_xing(data: bytes) -> bytes:
    return data[mp3._frame_bytes(data, 0) :]


MP3_FORMS = [(44_100, 1), (48_000, 2), (32_000, 1), (24_000, 1), (22_050, 2), (16_000, 1), (11_025, 2), (8_000, 1)]
ID3 = b"ID3\x04\x00\x00\x00\x00\x01\x02" + bytes(130)


@pytest.mark.parametrize(("rate_hz", "channels"), MP3_FORMS)
@pytest.mark.parametrize("mode", ["VARIABLE", "CONSTANT"])
def test_mp3_without_a_xing_header_is_whole(rate_hz: int, channels: int, mode: str):
    stated = speech_mp3(rate_hz, channels, mode)
    plain = without_xing(stated)
    expected, _ = decode_audio(stated)
    for data in (plain, ID3 + plain, plain + b"TAG" + bytes(125), plain + b"APETAGEX" + bytes(90), plain + bytes(300)):
        samples, rate = decode_audio(data)
        assert (rate, samples.shape[0]) == (rate_hz, channels)
        assert 0 <= samples.shape[1] - expected.shape[1] < 4 * 1152  # the header also states the encoder's delay
        delay = samples.shape[1] - expected.shape[1]
        errors = [np.abs(samples[:, n : n + expected.shape[1]] - expected).max() for n in range(delay + 1)]
        assert min(errors) < 1e-3


@pytest.mark.parametrize(("rate_hz", "channels"), MP3_FORMS)
def test_mp3_with_a_vbri_header_has_no_more_sound(rate_hz: int, channels: int):
    plain = without_xing(speech_mp3(rate_hz, channels))
    vbri = (plain[:4] + bytes(32) + b"VBRI").ljust(mp3._frame_bytes(plain, 0), b"\0")
    np.testing.assert_array_equal(decode_audio(vbri + plain)[0], decode_audio(plain)[0])


@pytest.mark.parametrize("lost", [1, 3, 50, 20_003])
@pytest.mark.parametrize("mode", ["VARIABLE", "CONSTANT"])
def test_mp3_without_a_xing_header_and_end_is_cut_short(mode: str, lost: int):
    with pytest.raises(DamagedSample, match=r"cut short: its last frame, number [0-9]+, is incomplete"):
        decode_audio(without_xing(speech_mp3(44_100, 1, mode))[:-lost])


def test_long_mp3_without_a_xing_header():
    data = without_xing(speech_mp3(8_000, 1))
    with pytest.raises(DamagedSample, match="s long; allowed: at most 600"):
        decode_audio(data * (16 << 20 >> 14))


def long_clip(seconds: float, rate_hz: int, form: str, channels: int = 1) -> bytes:
    stream = io.BytesIO()
    block = np.full((rate_hz, channels), 0.25, dtype=np.float32)
    with soundfile.SoundFile(stream, "w", rate_hz, channels, format=form) as clip:
        for _ in range(int(seconds)):
            clip.write(block)
        clip.write(block[: round(seconds % 1 * rate_hz)])
    return stream.getvalue()


@pytest.mark.parametrize("form", ["WAV", "FLAC"])
def test_refuses_more_than_ten_minutes(form: str):
    assert decode_audio(long_clip(600, 4_000, form))[0].shape == (1, 2_400_000)
    with pytest.raises(DamagedSample, match="601 s long; allowed: at most 600"):
        decode_audio(long_clip(600.6, 4_000, form))


def test_hostile_headers_use_no_memory():
    """8 channels at 384 kHz for 10 minutes would be 7 GB, and are refused by the header."""
    data = bytearray(long_clip(1, 8_000, "FLAC", channels=8))
    samples = 599 * 384_000
    data[18:21] = struct.pack(">I", 384_000 << 4 | 7 << 1)[1:]  # 20 bits rate, 3 bits channels - 1, 1 bit of depth
    data[21] = data[21] & 0xF0
    data[22:26] = struct.pack(">I", samples)
    with pytest.raises(DamagedSample, match=f"{samples} samples x 8 channels; allowed: at most 134217728 in all"):
        decode_audio(bytes(data))
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DamagedSample):
        decode_audio(flac_of(599 * 16_000))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 100_000


def test_changed_bytes_are_damaged_or_harmless():
    rng = np.random.default_rng(1)
    formats = [*((form, None) for form in ("WAV", "RF64", "FLAC", "MP3")), ("OGG", "VORBIS"), ("OGG", "OPUS")]
    whole = [encoded(tone(0.05, 8_000), 8_000, form, subtype) for form, subtype in formats]
    outcomes = Counter()
    for number in range(900):
        data = bytearray(whole[number % len(whole)])
        for _ in range(1 + number % 3):
            data[rng.integers(len(data) if number % 2 else 80)] = rng.integers(256)
        try:
            outcomes[decode_audio(bytes(data[: rng.integers(1, 2 * len(data))]))[0].dtype.name] += 1
        except DamagedSample:
            outcomes["damaged"] += 1
    assert set(outcomes) == {"float32", "damaged"}
