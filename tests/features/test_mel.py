"""Log-mel spectrograms: librosa's, whatever the rate, the channels and the length of the clip."""

from functools import partial

import librosa
import numpy as np
import pytest
import torch
from joblib import Parallel, delayed
from scipy.signal import resample_poly

from stages.core.records import DamagedSample
from stages.features import mel

SETTINGS = {
    "sample_rate_hz": 16_000,
    "window_ms": 25.0,
    "hop_ms": 10.0,
    "n_mels": 64,
    "f_min_hz": 0.0,
    "f_max_hz": 8_000.0,
    "duration_s": 3.0,
    "trim_db": None,
    "normalize": "none",
}
LIBROSA = {"sr": 16_000, "win_length": 400, "n_fft": 512, "hop_length": 160, "n_mels": 64, "fmin": 0.0, "fmax": 8_000.0}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Of PyTorch: clips are too short to be shared out."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def voice(duration_s: float = 2.0, rate_hz: int = 16_000, noise: float = 1e-3, seed: int = 0) -> np.ndarray:
    """(samples,) syllables of a gliding voice in a room that is not quite silent."""
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
    """librosa's own, in double precision."""
    power = librosa.feature.melspectrogram(y=signal.astype(np.float64), **{**LIBROSA, **change})
    return librosa.power_to_db(power, top_db=80.0).T


def assert_close_to_librosa(found: np.ndarray, expected: np.ndarray):
    """In single precision, what lies 80 dB below the loudest has few digits left."""
    assert found.shape == expected.shape
    difference = np.abs(found - expected)
    assert difference.max() < 0.01
    assert np.median(difference) < 1e-4


OTHERS = [
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
@pytest.mark.parametrize(("change", "theirs"), OTHERS)
def test_equals_librosa(change: dict, theirs: dict, noise: float):
    rate_hz = change.get("sample_rate_hz", 16_000)
    clip = voice(rate_hz=rate_hz, noise=noise)
    assert_close_to_librosa(true_frames(clip, rate_hz, **change), reference(clip, **theirs))


def test_is_within_a_thousandth_of_librosa_on_speech_in_a_room():
    for seed in range(3):
        clip = voice(seed=seed)
        np.testing.assert_allclose(true_frames(clip), reference(clip), rtol=0, atol=1e-3)


@pytest.mark.parametrize("trim_db", [20.0, 30.0, 60.0])
@pytest.mark.parametrize(("before", "after"), [(8_000, 12_345), (511, 513), (0, 700)])
def test_trims_as_librosa_does(trim_db: float, before: int, after: int):
    clip = np.pad(voice(1.0), (before, after)) + np.float32(1e-4) * tone(16_000, 50, 2.5)[: 16_000 + before + after]
    trimmed, _ = librosa.effects.trim(clip, top_db=trim_db)
    if before and trim_db < 60:
        assert len(trimmed) < len(clip)
    assert_close_to_librosa(true_frames(clip, trim_db=trim_db), reference(trimmed))


def test_trimming_silence_before_the_cut_keeps_the_speech():
    clip = np.concatenate([np.zeros(16_000 * 4, np.float32), voice(1.0)])
    assert len(true_frames(clip, trim_db=30.0)) < 110
    assert true_frames(clip, trim_db=30.0).max() > true_frames(clip).max() + 20


@pytest.mark.parametrize("rate_hz", [8_000, 24_414, 48_000])
def test_trims_as_much_whatever_the_rate(rate_hz: int):
    """To within a frame of trimming, 32 ms."""
    edge_s = 1.0
    clips = [np.pad(voice(1.0, rate, noise=0.0), round(edge_s * rate)) for rate in (16_000, rate_hz)]
    expected, found = (
        len(true_frames(clip, rate, trim_db=30.0)) for clip, rate in zip(clips, (16_000, rate_hz), strict=True)
    )
    assert 60 < expected < 110
    assert abs(found - expected) <= 4


RATES = [4_001, 8_000, 11_025, 24_414, 32_000, 44_100, 48_000, 96_000, 384_000]


@pytest.mark.parametrize("rate_hz", RATES)
def test_a_tone_of_any_rate_lands_in_its_band(rate_hz: int):
    expected, found = true_frames(tone(16_000)), true_frames(tone(rate_hz), rate_hz)
    assert len(found) == pytest.approx(len(expected), abs=1)
    inner = slice(10, 90)
    loudest = expected[50].argmax()
    assert (found[inner].argmax(axis=1) == loudest).all()
    np.testing.assert_allclose(found[inner, loudest], expected[inner, loudest], atol=0.2)


@pytest.mark.parametrize("rate_hz", [24_414, 44_100, 48_000, 383_999])
def test_resampling_is_close_to_a_polyphase_filter(rate_hz: int):
    clip = voice(rate_hz=rate_hz)
    theirs = true_frames(resample_poly(clip, 16_000, rate_hz).astype(np.float32))
    below = slice(0, 54)  # up to 6 kHz: above, each filter rolls off as it likes
    found = true_frames(clip, rate_hz)
    assert np.abs(found[: len(theirs), below] - theirs[: len(found), below]).mean() < 0.05


def test_what_the_new_rate_cannot_hold_does_not_fold_back():
    heard, beyond = true_frames(tone(48_000), 48_000), true_frames(tone(48_000, 11_000), 48_000)
    assert beyond[10:90].max() < heard.max() - 50


def test_stereo_is_the_mean_of_its_channels():
    left, right = voice(seed=1), voice(seed=2)
    found, length = compute(np.stack([left, right]))
    expected, expected_length = compute((left + right) / 2)
    assert length == expected_length
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_a_short_clip_is_padded_with_its_floor():
    x, length = compute(voice(1.0))
    assert (length, x.shape) == (101, (301, 64))
    assert (x[length:] == x.max() - 80).all()
    assert x.min() == x.max() - 80


def test_a_long_clip_loses_its_end():
    clip = voice(5.0)
    x, length = compute(clip)
    assert length == 301
    np.testing.assert_array_equal(x, compute(clip[:48_000])[0])


@pytest.mark.parametrize("duration_s", [0.064, 2.345])
@pytest.mark.parametrize("change", [change for change, _ in OTHERS[3:]])
def test_every_clip_has_the_shape_of_the_longest(change: dict, duration_s: float):
    change = {**change, "duration_s": duration_s}
    shapes = {compute(voice(seconds), 16_000.0, **change)[0].shape for seconds in (0.01, 1.0, 3.0)}
    assert len(shapes) == 1
    x, length = compute(voice(3.0), 16_000.0, **change)
    assert length == len(x)


def test_mean_is_taken_away_over_true_frames_only():
    clip = voice(1.0)
    plain, length = compute(clip)
    x, _ = compute(clip, normalize="mean")
    np.testing.assert_allclose(x[:length].mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(plain - x, np.broadcast_to(plain[:length].mean(axis=0), x.shape), atol=1e-3)


def test_mean_sd_is_one_over_true_frames_only():
    clip = voice(1.0)
    plain, length = compute(clip)
    x, _ = compute(clip, normalize="mean_sd")
    np.testing.assert_allclose(x[:length].mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(x[:length].std(axis=0), 1, atol=1e-4)
    np.testing.assert_allclose(x * plain[:length].std(axis=0) + plain[:length].mean(axis=0), plain, atol=1e-3)


@pytest.mark.parametrize("normalize", ["mean", "mean_sd"])
def test_normalised_clips_do_not_tell_how_loud_they_were(normalize: str):
    clip = voice()
    np.testing.assert_allclose(
        true_frames(clip, normalize=normalize), true_frames(clip / 8, normalize=normalize), atol=1e-3
    )


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
@pytest.mark.parametrize("samples", [1, 2, 159, 160, 161, 400, 480])
def test_very_short_clips(samples: int, trim_db: float | None, normalize: str):
    x, length = compute(voice(1.0)[5_000 : 5_000 + samples], trim_db=trim_db, normalize=normalize)
    assert length == samples // 160 + 1
    assert x.shape == (301, 64)
    assert np.isfinite(x).all()


@pytest.mark.filterwarnings("ignore:n_fft=512 is too large")
@pytest.mark.parametrize("samples", [1, 160, 400])
def test_very_short_clips_equal_librosa(samples: int):
    clip = voice(1.0)[5_000 : 5_000 + samples]
    assert_close_to_librosa(true_frames(clip), reference(clip))


@pytest.mark.parametrize("rate_hz", [16_000, 48_000])
@pytest.mark.parametrize("normalize", ["none", "mean", "mean_sd"])
def test_digital_silence_is_a_number(normalize: str, rate_hz: int):
    x, length = compute(np.zeros((1, rate_hz), np.float32), rate_hz, trim_db=30.0, normalize=normalize)
    assert length == 101
    assert np.isfinite(x).all()
    assert (x[:length] == (-100 if normalize == "none" else 0)).all()


def test_channels_that_cancel_each_other_are_silence():
    left = np.sin(np.arange(16_000) / 5, dtype=np.float32)
    with pytest.raises(DamagedSample, match="silence once its channels are mixed to one"):
        compute(np.stack([left, -left]), 16_000)


@pytest.mark.parametrize("rate_hz", [16_000, 48_000])
def test_a_clip_without_a_sample_is_damaged(rate_hz: int):
    with pytest.raises(DamagedSample, match="without a sample"):
        compute(np.zeros((1, 0), np.float32), rate_hz)


@pytest.mark.parametrize(
    ("change", "expected"), [({}, 100), ({"hop_ms": 16.0}, 62.5), ({"sample_rate_hz": 22_050, "hop_ms": 11.0}, 90.74)]
)
def test_frames_a_second(change: dict, expected: float):
    assert mel.output_rate_hz({**SETTINGS, **change}) == pytest.approx(expected, abs=0.01)


def test_threads_give_the_same_bytes():
    """Also where several threads come for filters that nobody has made yet."""
    clips = [(voice(0.6, rate_hz, seed=n), rate_hz) for n, rate_hz in enumerate([16_000, 22_050, 44_100, 48_000] * 4)]
    alone = [compute(clip, rate_hz, trim_db=30.0)[0].tobytes() for clip, rate_hz in clips]
    mel._transforms.cache_clear()
    together = Parallel(4, prefer="threads")(delayed(compute)(clip, rate_hz, trim_db=30.0) for clip, rate_hz in clips)
    assert [x.tobytes() for x, _ in together] == alone


def test_many_clips_give_what_each_gives(monkeypatch: pytest.MonkeyPatch):
    """Of any lengths and rates, over groups; a damaged one is told in its place and harms no other."""
    monkeypatch.setattr(mel, "CLIPS_TOGETHER", 3)
    clips = [(voice(0.3 + 0.2 * n, 16_000 + 8_000 * (n % 3), seed=n)[None], 16_000 + 8_000 * (n % 3)) for n in range(7)]
    silent = np.array([[0.5, -0.5], [-0.5, 0.5]], dtype=np.float32)  # the channels cancel
    loads = [partial(tuple, clip) for clip in [*clips[:4], (silent, 16_000), *clips[4:]]]
    settings = SETTINGS | {"trim_db": 30.0, "normalize": "mean"}
    found = list(mel.compute_many(loads, **settings))
    assert str(found.pop(4)) == "silence once its channels are mixed to one"
    for (x, length), (clip, rate_hz) in zip(found, clips, strict=True):
        expected, true_length = compute(clip, rate_hz, trim_db=30.0, normalize="mean")
        assert (x.shape, length) == (expected.shape, true_length)
        np.testing.assert_allclose(x, expected, atol=1e-3)


def test_the_signal_is_left_as_it_was():
    clip = voice(1.0)[None]
    before = clip.copy()
    compute(clip, trim_db=30.0, normalize="mean_sd")
    np.testing.assert_array_equal(clip, before)
