"""Log-mel spectrograms equal librosa's for every rate, number of channels and length of a clip."""

from functools import partial

import librosa
import numpy as np
import pytest
import torch
from joblib import Parallel, delayed
from scipy.signal import resample_poly

from stages.core import speech_signal
from stages.core.errors import UserError
from stages.core.records import DamagedSample
from stages.features import mel

SETTINGS = {"sample_rate_hz": 16_000, "window_ms": 25.0, "hop_ms": 10.0, "n_mels": 64, "f_min_hz": 0.0}
SETTINGS |= {"f_max_hz": 8_000.0, "duration_s": 3.0, "trim_db": None, "normalize": "none"}
LIBROSA = {"sr": 16_000, "win_length": 400, "n_fft": 512, "hop_length": 160, "n_mels": 64, "fmin": 0.0, "fmax": 8_000.0}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Use one thread of PyTorch: clips are too short to be computed in parallel."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def voice(duration_s: float = 2.0, rate_hz: int = 16_000, noise: float = 1e-3, seed: int = 0) -> np.ndarray:
    """Return (samples,) of syllables with a changing pitch, in slight background noise."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(duration_s * rate_hz)) / rate_hz
    cycles = np.cumsum(130 + 40 * np.sin(4 * time_s + seed)) / rate_hz
    buzz = sum(np.sin(2 * np.pi * k * cycles) / k for k in range(1, 20))
    syllables = np.clip(np.sin(2 * np.pi * 1.7 * time_s), 0, 1)
    return (0.15 * buzz * syllables + noise * rng.normal(size=len(time_s))).astype(np.float32)


def tone(rate_hz: int, frequency_hz: float = 1_000, duration_s: float = 1.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * frequency_hz * np.arange(round(duration_s * rate_hz)) / rate_hz)).astype("float32")


def compute(signal: np.ndarray, rate_hz: float = 16_000.0, **change: object) -> tuple[np.ndarray, int]:
    return mel.compute(np.atleast_2d(signal), rate_hz, **{**SETTINGS, **change})


def true_frames(signal: np.ndarray, rate_hz: float = 16_000.0, **change: object) -> np.ndarray:
    x, length = compute(signal, rate_hz, **change)
    return x[:length]


def reference(signal: np.ndarray, **change: object) -> np.ndarray:
    """Return librosa's spectrogram, computed in double precision."""
    power = librosa.feature.melspectrogram(y=signal.astype(np.float64), **{**LIBROSA, **change})
    return librosa.power_to_db(power, top_db=80.0).T


def assert_close_to_librosa(actual: np.ndarray, expected: np.ndarray):
    """Values 80 dB below the maximum have few digits left in single precision."""
    assert actual.shape == expected.shape
    difference = np.abs(actual - expected)
    assert difference.max() < 0.01
    assert np.median(difference) < 1e-4


VARIANTS = [
    ({}, {}),
    ({"n_mels": 128}, {"n_mels": 128}),
    ({"window_ms": 32.0, "hop_ms": 16.0, "n_mels": 40}, {"win_length": 512, "hop_length": 256, "n_mels": 40}),
    ({"f_min_hz": 80.0, "f_max_hz": 7_600.0}, {"fmin": 80.0, "fmax": 7_600.0}),
    ({"window_ms": 64.0, "hop_ms": 7.5}, {"win_length": 1024, "n_fft": 1024, "hop_length": 120}),
    (
        {"sample_rate_hz": 22_050, "window_ms": 23.0, "hop_ms": 11.0, "n_mels": 80, "f_max_hz": 10_000.0},
        {"sr": 22_050, "win_length": 507, "hop_length": 243, "n_mels": 80, "fmax": 10_000.0},
    ),
]


@pytest.mark.parametrize("noise", [0.0, 1e-4])
@pytest.mark.parametrize(("change", "theirs"), VARIANTS)
def test_equals_librosa(change: dict, theirs: dict, noise: float):
    rate_hz = change.get("sample_rate_hz", 16_000)
    clip = voice(rate_hz=rate_hz, noise=noise)
    assert_close_to_librosa(true_frames(clip, rate_hz, **change), reference(clip, **theirs))


@pytest.mark.parametrize("trim_db", [20.0, 30.0, 60.0])
@pytest.mark.parametrize(("before", "after"), [(8_000, 12_345), (511, 513), (0, 700)])
def test_trims_like_librosa(trim_db: float, before: int, after: int):
    clip = np.pad(voice(1.0), (before, after)) + np.float32(1e-4) * tone(16_000, 50, 2.5)[: 16_000 + before + after]
    trimmed, _ = librosa.effects.trim(clip, top_db=trim_db)
    if before and trim_db < 60:
        assert len(trimmed) < len(clip)
    assert_close_to_librosa(true_frames(clip, trim_db=trim_db), reference(trimmed))


def test_silence_is_trimmed_before_the_clip_is_cut():
    clip = np.concatenate([np.zeros(16_000 * 4, np.float32), voice(1.0)])
    assert len(true_frames(clip, trim_db=30.0)) < 110
    assert true_frames(clip, trim_db=30.0).max() > true_frames(clip).max() + 20


@pytest.mark.parametrize("rate_hz", [8_000, 24_414, 48_000])
def test_trimming_does_not_depend_on_the_rate(rate_hz: int):
    """Lengths agree within one frame of trimming, 32 ms."""
    clips = {rate: np.pad(voice(1.0, rate, noise=0.0), rate) for rate in (16_000, rate_hz)}
    expected, actual = (len(true_frames(clip, rate, trim_db=30.0)) for rate, clip in clips.items())
    assert 60 < expected < 110
    assert abs(actual - expected) <= 4


RATES = [4_001, 8_000, 11_025, 24_414, 32_000, 44_100, 48_000, 96_000, 384_000]


@pytest.mark.parametrize("rate_hz", RATES)
def test_a_tone_has_the_same_band_at_any_rate(rate_hz: int):
    expected, actual = true_frames(tone(16_000)), true_frames(tone(rate_hz), rate_hz)
    assert len(actual) == pytest.approx(len(expected), abs=1)
    inner = slice(10, 90)
    loudest = expected[50].argmax()
    assert (actual[inner].argmax(axis=1) == loudest).all()
    np.testing.assert_allclose(actual[inner, loudest], expected[inner, loudest], atol=0.2)


def test_resampling_does_not_alias():
    below, above = true_frames(tone(48_000), 48_000), true_frames(tone(48_000, 11_000), 48_000)
    assert above[10:90].max() < below.max() - 50


@pytest.mark.parametrize("rate_hz", [24_414, 44_100, 383_999])
def test_resampling_is_close_to_a_polyphase_filter(rate_hz: int):
    clip = voice(rate_hz=rate_hz)
    theirs = true_frames(resample_poly(clip, 16_000, rate_hz).astype(np.float32))
    below = slice(0, 54)  # up to 6 kHz; the filters roll off differently above
    actual = true_frames(clip, rate_hz)
    assert np.abs(actual[: len(theirs), below] - theirs[: len(actual), below]).mean() < 0.05


def test_stereo_is_averaged_over_channels():
    left, right = voice(seed=1), voice(seed=2)
    actual, length = compute(np.stack([left, right]))
    expected, expected_length = compute((left + right) / 2)
    assert length == expected_length
    np.testing.assert_allclose(actual, expected, atol=1e-3)


def test_short_clips_are_padded_with_their_floor():
    x, length = compute(voice(1.0))
    assert (length, x.shape) == (101, (301, 64))
    assert (x[length:] == x.max() - 80).all()
    assert x.min() == x.max() - 80


def test_long_clips_are_cut_at_the_end():
    clip = voice(5.0)
    x, _ = compute(clip)
    assert len(x) == 301
    np.testing.assert_array_equal(x, compute(clip[:48_000])[0])


@pytest.mark.parametrize(("seconds", "length"), [(2.99, 300), (3.0, 301), (3.02, 303), (4.0, 401), (10.0, 1_001)])
def test_length_counts_what_was_cut(seconds: float, length: int):
    """A length above that of the array tells `prepare` that the clip was cut."""
    assert compute(voice(seconds), 16_000.0)[1] == length


@pytest.mark.parametrize("duration_s", [0.064, 2.345])
@pytest.mark.parametrize("change", [change for change, _ in VARIANTS[3:]])
def test_shape_does_not_depend_on_the_length_of_a_clip(change: dict, duration_s: float):
    change = {**change, "duration_s": duration_s}
    shapes = {compute(voice(seconds), 16_000.0, **change)[0].shape for seconds in (0.1, 1.0, 3.0)}
    assert len(shapes) == 1
    x, length = compute(voice(3.0), 16_000.0, **change)
    assert length >= len(x)


@pytest.mark.parametrize("normalize", ["mean", "mean_sd"])
def test_normalises_over_true_frames_only(normalize: str):
    clip = voice(1.0)
    plain, length = compute(clip)
    x, _ = compute(clip, normalize=normalize)
    sd = plain[:length].std(axis=0) if normalize == "mean_sd" else 1
    np.testing.assert_allclose(x[:length].mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(x * sd + plain[:length].mean(axis=0), plain, atol=1e-3)


@pytest.mark.parametrize("normalize", ["none", "mean", "mean_sd"])
@pytest.mark.parametrize("seconds", [1.0, 3.0, 4.0])
def test_type_and_layout(normalize: str, seconds: float):
    x, length = compute(voice(seconds), trim_db=30.0, normalize=normalize)
    assert x.shape == (301, 64)
    assert x.dtype == np.dtype(mel.DTYPE) == np.float32
    assert x.flags.c_contiguous
    assert isinstance(length, int)
    assert len(mel.LAYOUT) == x.ndim
    assert (mel.SCALE_FACTOR, mel.ADD_OFFSET) == (1.0, 0.0)


@pytest.mark.parametrize("normalize", ["none", "mean", "mean_sd"])
@pytest.mark.parametrize("trim_db", [None, 30.0])
@pytest.mark.parametrize("samples", [1_600, 1_601, 2_047, 2_048, 2_400])
def test_very_short_clips(samples: int, trim_db: float | None, normalize: str):
    x, length = compute(voice(1.0)[2_000 : 2_000 + samples], trim_db=trim_db, normalize=normalize)
    assert length == samples // 160 + 1
    assert x.shape == (301, 64)
    assert np.isfinite(x).all()


SILENCE = np.zeros(64_000, np.float32)  # 4 s
VOICE = voice(2.0)
STEP = np.where(np.arange(96_000) < 64_000, np.float32(0.2), 0)


def with_clicks(at: list[int], length: int = 1, height: float = 1.0) -> np.ndarray:
    """Return 4 s of silence with clicks, and a voice after it."""
    clip = np.concatenate([SILENCE, VOICE])
    for start in at:
        clip[start : start + length] = height
    return clip


# Silence and VOICE, changed in ways that change nothing of what is said, and the tolerance of its start in frames.
SAME_SPEECH = {
    "silence": (with_clicks([]), 0),
    "one click": (with_clicks([10_000]), 0),
    "a click at the start": (with_clicks([0]), 0),
    "clicks of 10 ms": (with_clicks([5_000, 20_000, 40_000], 160), 0),
    "a click during speech": (with_clicks([64_000 + 1_700], 20, 8.0), 13),
    "many clicks": (with_clicks(list(range(500, 50_000, 3_000)), 8, -1.0), 0),
    "DC offset": (with_clicks([]) + np.float32(0.2), 0),
    "negative DC offset and a click": (with_clicks([10_000]) - np.float32(0.5), 0),
    "DC offset in the silence only": (with_clicks([]) + STEP, 13),
}


@pytest.mark.parametrize(("clip", "frames"), SAME_SPEECH.values(), ids=SAME_SPEECH)
def test_finds_speech_among_clicks_and_offsets(clip: np.ndarray, frames: int):
    bounds = speech_signal.speech_bounds(clip, 16_000, 25.0)
    expected = speech_signal.speech_bounds(np.concatenate([SILENCE, VOICE]), 16_000, 25.0)
    assert abs(bounds.start - expected.start) <= frames * 160
    assert bounds.stop == expected.stop
    backwards = speech_signal.speech_bounds(clip[::-1].copy(), 16_000, 25.0)
    assert abs(len(clip) - backwards.stop - expected.start) <= (frames + 4) * 160
    assert abs(len(clip) - backwards.start - expected.stop) <= 4 * 160


@pytest.mark.parametrize("offset", [0.02, -0.1, 0.5])
@pytest.mark.parametrize("trim_db", [None, 25.0])
def test_a_dc_offset_changes_nothing(offset: float, trim_db: float | None):
    centred = VOICE - VOICE.mean()
    expected = true_frames(centred, trim_db=trim_db)
    actual = true_frames(centred + np.float32(offset), trim_db=trim_db)
    loud = expected > expected.max() - 50
    np.testing.assert_allclose(actual[loud], expected[loud], atol=0.1)


def test_clean_clips_keep_their_bits():
    np.testing.assert_array_equal(speech_signal.waveform(VOICE[None], 16_000, 16_000, None, False), VOICE)


OTHER = voice(2.0, seed=3)
CHANNELS = {
    "opposite": ([VOICE, -VOICE], VOICE),
    "opposite and fainter": ([VOICE, -0.8 * VOICE], VOICE),
    "fainter and opposite": ([-0.5 * VOICE, VOICE], VOICE),
    "opposite with noise": ([VOICE, -VOICE + np.float32(1e-4) * tone(16_000, 90, 2.0)], VOICE),
    "opposite with offsets": ([VOICE + np.float32(0.1), -VOICE], VOICE),
    "four": ([VOICE, -VOICE, VOICE, -VOICE], VOICE),
    "equal": ([VOICE, VOICE], VOICE),
    "one silent": ([VOICE, 0 * VOICE], VOICE / 2),
    "one of eight": ([VOICE, *[0 * VOICE] * 7], VOICE / 8),
    "two voices": ([VOICE, OTHER], (VOICE + OTHER) / 2),
}


@pytest.mark.parametrize(("channels", "expected"), CHANNELS.values(), ids=CHANNELS)
def test_mixes_channels_that_may_cancel(channels: list[np.ndarray], expected: np.ndarray):
    actual = true_frames(np.stack(channels))
    expected = true_frames(expected)
    loud = expected > expected.max() - 40
    np.testing.assert_allclose(actual[loud], expected[loud], atol=0.5)


@pytest.mark.parametrize("gain", [0.01, 0.1, 0.5, 4.0, 32_768.0])
@pytest.mark.parametrize("trim_db", [None, 25.0, 60.0])
def test_normalised_level_does_not_depend_on_the_gain(gain: float, trim_db: float | None):
    options = {"trim_db": trim_db, "normalize_level": True}
    expected, actual = true_frames(VOICE, **options), true_frames(np.float32(gain) * VOICE, **options)
    np.testing.assert_allclose(actual, expected, atol=0.01)


NOISE = np.random.default_rng(4).normal(size=16_000).astype(np.float32)
TOO_LITTLE = {
    "nothing": SILENCE[:0],
    "one sample": np.ones(1, np.float32),
    "50 ms": VOICE[5_000:5_800],
    "silence": SILENCE,
    "DC offset": SILENCE + np.float32(0.3),
    "a click": with_clicks([9_000])[:64_000],
    "clicks": with_clicks([9_000, 30_000, 55_000], 200)[:64_000],
    "a click on an offset": with_clicks([9_000])[:64_000] + np.float32(0.1),
    "a step": STEP,
    "rounding noise": NOISE / 65_536,
}


@pytest.mark.parametrize("trim_db", [None, 25.0])
@pytest.mark.parametrize("clip", TOO_LITTLE.values(), ids=TOO_LITTLE)
def test_rejects_clips_with_too_little_speech(clip: np.ndarray, trim_db: float | None):
    with pytest.raises(DamagedSample, match=r"too little speech; allowed: 0.1 s or more above -80 dBFS; received: "):
        compute(clip, trim_db=trim_db)


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 48_000, 384_000])
def test_a_tenth_of_a_second_in_silence_is_enough(rate_hz: int):
    for offset in range(0, rate_hz // 25, rate_hz // 250):
        clip = np.pad(tone(rate_hz, 200, 0.1), (rate_hz + offset, rate_hz))
        assert 6 < len(true_frames(clip, rate_hz, trim_db=25.0)) < 26


@pytest.mark.filterwarnings("ignore:At least one mel filterbank has all zero values")
@pytest.mark.parametrize(
    ("setting", "value"),
    [("f_max_hz", 8_001.0), ("f_min_hz", 8_000.0), ("hop_ms", 0.03), ("window_ms", 0.03), ("n_mels", 257)],
)
def test_rejects_impossible_settings(setting: str, value: float):
    with pytest.raises(UserError, match=rf"^feature mel: {setting}: .*; allowed: .*; received: \d"):
        compute(voice(), **{setting: value})


@pytest.mark.parametrize(
    ("change", "expected"), [({}, 100), ({"hop_ms": 16.0}, 62.5), ({"sample_rate_hz": 22_050, "hop_ms": 11.0}, 90.74)]
)
def test_output_rate_is_frames_per_second(change: dict, expected: float):
    assert mel.output_rate_hz({**SETTINGS, **change}) == pytest.approx(expected, abs=0.01)


def test_threads_compute_the_same_bytes():
    """The cached filters are cleared, so that several threads create them at the same time."""
    clips = [(voice(0.6, rate_hz, seed=n), rate_hz) for n, rate_hz in enumerate([16_000, 22_050, 44_100, 48_000] * 4)]
    sequential = [compute(clip, rate_hz, trim_db=30.0)[0].tobytes() for clip, rate_hz in clips]
    mel._transforms.cache_clear()
    parallel = Parallel(4, prefer="threads")(delayed(compute)(clip, rate_hz, trim_db=30.0) for clip, rate_hz in clips)
    assert [x.tobytes() for x, _ in parallel] == sequential


def test_compute_many_equals_compute(monkeypatch: pytest.MonkeyPatch):
    """Clips differ in length and rate and span several groups; a damaged one is reported in its place."""
    monkeypatch.setattr(mel, "CLIPS_PER_CALL", 3)
    clips = [(voice(0.3 + 0.2 * n, 16_000 + 8_000 * (n % 3), seed=n)[None], 16_000 + 8_000 * (n % 3)) for n in range(7)]
    silent = np.zeros((1, 16_000), dtype=np.float32)
    loads = [partial(tuple, clip) for clip in [*clips[:4], (silent, 16_000), *clips[4:]]]
    settings = SETTINGS | {"trim_db": 30.0, "normalize": "mean"}
    actual = list(mel.compute_many(loads, **settings))
    assert "too little speech" in str(actual.pop(4))
    for (x, length), (clip, rate_hz) in zip(actual, clips, strict=True):
        expected, true_length = compute(clip, rate_hz, trim_db=30.0, normalize="mean")
        assert (x.shape, length) == (expected.shape, true_length)
        np.testing.assert_allclose(x, expected, atol=1e-3)


def test_signal_is_not_modified():
    clip = voice(1.0)[None]
    before = clip.copy()
    compute(clip, trim_db=30.0, normalize="mean_sd")
    np.testing.assert_array_equal(clip, before)
