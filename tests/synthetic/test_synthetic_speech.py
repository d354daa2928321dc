"""Synthetic speech: form, reproducibility, acoustic effects of emotions, and a moderate difficulty."""

from functools import cache

import numpy as np
import pytest
from scipy.linalg import solve_toeplitz
from scipy.signal import find_peaks, freqz
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from stages.synthetic.speech import source_filter
from stages.synthetic.speech.delivery import PROTOTYPES, Delivery
from stages.synthetic.speech.speaker import Speaker, sample_speaker
from stages.synthetic.speech.voice import speak, synthesise_clip

EIGHT = ("neutral", "calm", "happy", "sad", "angry", "fear", "disgust", "surprise")
RATE_HZ = 16_000


def speaker(number: int) -> Speaker:
    return sample_speaker(number, np.random.default_rng(1000 + number))


def clip(emotion: str, number: int = 1, seed: int = 0, intensity: str = "normal") -> np.ndarray:
    return synthesise_clip(emotion, intensity, 1 + seed % 2, speaker(number), np.random.default_rng(seed)).astype(float)


def frames(sound: np.ndarray) -> np.ndarray:
    """Return (frames, 640): windows of 40 ms every 10 ms."""
    return np.lib.stride_tricks.sliding_window_view(sound, 640)[::160] * np.hanning(640)


def pitch_track_hz(sound: np.ndarray) -> np.ndarray:
    """Return the pitch of voiced frames, from the first high peak of the normalised autocorrelation."""
    window = np.fft.irfft(np.abs(np.fft.rfft(np.hanning(640), 2048)) ** 2)[:320]
    power = np.abs(np.fft.rfft(frames(sound), 2048)) ** 2
    correlation = np.fft.irfft(power)[:, :320] / (window / window[0])
    loud = correlation[:, 0] > 0.03 * correlation[:, 0].max()
    pitches = []
    for row in correlation[loud] / correlation[loud, :1]:
        peaks, _ = find_peaks(row[:270])
        peaks = peaks[(peaks >= 27) & (row[peaks] > 0.6)]
        if len(peaks):
            pitches.append(RATE_HZ / peaks[row[peaks] > 0.85 * row[peaks].max()][0])
    return np.array(pitches)


def treble_db(sound: np.ndarray) -> float:
    """Return the energy of 1 to 4 kHz relative to that below 1 kHz."""
    power = (np.abs(np.fft.rfft(frames(sound))) ** 2).sum(0)
    hz = np.fft.rfftfreq(640, 1 / RATE_HZ)
    return float(10 * np.log10(power[(hz > 1000) & (hz < 4000)].sum() / power[(hz > 60) & (hz < 1000)].sum()))


def spoken_s(sound: np.ndarray) -> float:
    energy = (frames(sound) ** 2).sum(1)
    loud = np.flatnonzero(energy > 0.003 * energy.max())
    return float((loud[-1] - loud[0]) * 0.01)


@cache
def cues(emotion: str) -> dict[str, float]:
    """Return phonetic measures, averaged over eight speakers with two takes each."""
    intensity = "normal" if emotion == "neutral" else "strong"
    takes = [clip(emotion, number, seed, intensity) for number in range(1, 9) for seed in (2 * number, 2 * number + 1)]
    tracks = [12 * np.log2(pitch_track_hz(take) / 100) for take in takes]
    return {
        "pitch": float(np.mean([np.median(track) for track in tracks])),
        "range": float(np.mean([np.subtract(*np.percentile(track, (90, 10))) for track in tracks])),
        "spoken": float(np.mean([spoken_s(take) for take in takes])),
        "level": float(np.mean([10 * np.log10(np.mean(take**2)) for take in takes])),
        "treble": float(np.mean([treble_db(take) for take in takes])),
    }


def test_emotions_are_those_of_ravdess():
    assert set(PROTOTYPES) == set(EIGHT)


@pytest.mark.parametrize("emotion", EIGHT)
@pytest.mark.parametrize("statement", [1, 2])
def test_clip_is_finite_and_unclipped_with_quiet_edges(emotion, statement):
    for intensity in ("normal", "strong")[: 1 if emotion == "neutral" else 2]:
        sound = synthesise_clip(emotion, intensity, statement, speaker(2), np.random.default_rng(3))
        assert sound.dtype == np.float32
        assert sound.ndim == 1
        assert 1.2 < len(sound) / RATE_HZ < 2.7
        assert np.isfinite(sound).all()
        assert 0.01 < np.abs(sound).max() < 0.96
        middle = sound[800:-800].std()
        assert sound[:800].std() < 0.1 * middle
        assert sound[-800:].std() < 0.2 * middle


def test_loud_speech_is_not_clipped():
    loud = speak(1, speaker(1), Delivery(level_db=40.0), np.random.default_rng(0))
    assert np.abs(loud).max() == pytest.approx(0.95)
    assert np.sum(np.abs(loud) > 0.94) < 5


@pytest.mark.parametrize("number", range(1, 9))
def test_odd_speakers_are_men_and_even_ones_women(number):
    pitches_hz = pitch_track_hz(speak(1, speaker(number), Delivery(), np.random.default_rng(number)).astype(float))
    low_hz, high_hz = (80, 160) if number % 2 else (155, 260)
    assert len(pitches_hz) > 60
    assert low_hz < np.median(pitches_hz) < high_hz


def test_speakers_differ_from_each_other():
    assert speaker(3).pitch_hz == speaker(3).pitch_hz
    assert len({round(speaker(number).pitch_hz, 6) for number in range(1, 25)}) == 24
    same_takes = [speak(1, speaker(number), Delivery(), np.random.default_rng(0)) for number in (1, 3, 5)]
    spectra = np.array([np.log(np.mean(np.abs(np.fft.rfft(frames(take.astype(float)))), 0)) for take in same_takes])
    shapes = spectra - spectra.mean(1, keepdims=True)
    distances = [np.abs(shapes[a] - shapes[b]).mean() for a, b in ((0, 1), (0, 2), (1, 2))]
    assert min(distances) > 0.15


def test_emotions_differ_in_pitch_level_tempo_and_spectrum():
    angry, happy, neutral, sad = (cues(emotion) for emotion in ("angry", "happy", "neutral", "sad"))
    assert min(angry["pitch"], happy["pitch"]) > neutral["pitch"] + 3 > sad["pitch"] + 2
    assert min(angry["range"], happy["range"]) > neutral["range"] + 0.5 > sad["range"] + 0.5
    assert angry["level"] > happy["level"] > neutral["level"] > sad["level"] + 1
    assert happy["spoken"] < neutral["spoken"] < sad["spoken"] - 0.2
    assert min(angry["treble"], happy["treble"]) > neutral["treble"] + 1 > sad["treble"] + 1


def test_lax_folds_open_longer_with_less_treble():
    spectra = []
    for laxness in (0.5, 1.0, 2.0):
        pulses, flow = source_filter.pulse_train(np.full(8000, 120.0), laxness, 0.0, np.random.default_rng(0))
        power = np.abs(np.fft.rfft(pulses)) ** 2
        spectra.append((np.mean(flow > 0.01), power[1000:].sum() / power.sum()))
    opened, treble = np.array(spectra).T
    assert (np.diff(opened) > 0).all()
    assert (np.diff(treble) < 0).all()


@pytest.mark.parametrize("formants_hz", [(700, 1200, 2500), (400, 1950, 2550), (300, 900, 2250)])
def test_constant_vowel_has_its_formants(formants_hz):
    centres_hz = np.tile(np.array([*formants_hz, 3400.0, 4500.0, 5500.0, 6500.0, 7500.0]), (100, 1))
    filters = source_filter.resonators(centres_hz, np.full(centres_hz.shape, 80.0))
    noise = np.random.default_rng(0).normal(size=100 * 128)
    vowel = source_filter.filter_sources([noise], [filters], 128)
    lags = np.correlate(vowel, vowel, "full")[len(vowel) - 1 :][:17]  # linear prediction of order 16
    predictor = np.concatenate([[1.0], -solve_toeplitz(lags[:16], lags[1:17])])
    hz, response = freqz([1.0], predictor, 4096, fs=RATE_HZ)
    peaks_hz = hz[find_peaks(np.abs(response))[0]]
    assert all(np.abs(peaks_hz - formant_hz).min() < 0.06 * formant_hz for formant_hz in formants_hz)


def test_constant_filter_is_exact_and_keeps_silence():
    centres_hz = np.full((50, 1), 1000.0)
    filters = source_filter.resonators(centres_hz, np.full((50, 1), 300.0))
    assert not source_filter.filter_sources([np.zeros(50 * 128)], [filters], 128).any()
    impulse = np.zeros(50 * 128)
    impulse[3000] = 1.0
    _, expected = freqz([1.0], filters[0], 512)
    response = np.fft.rfft(source_filter.filter_sources([impulse], [filters], 128)[3000:4024])[:512]
    assert np.allclose(response, expected, atol=0.01 * np.abs(expected).max())


def test_simple_classifier_beats_chance_and_is_not_perfect():
    emotions = ("angry", "happy", "neutral", "sad")
    clips = [(emotion, number, seed) for emotion in emotions for number in range(1, 13) for seed in range(4)]
    features, labels = [], []
    for emotion, number, seed in clips:
        sound = clip(emotion, number, 1000 * emotions.index(emotion) + 10 * number + seed)
        power = (np.abs(np.fft.rfft(frames(sound))) ** 2)[:, 1:].reshape(-1, 40, 8).mean(-1)
        bands = np.log(power + 1e-6)
        features.append(np.concatenate([bands.mean(0), bands.std(0), np.diff(bands, axis=0).std(0), [spoken_s(sound)]]))
        labels.append(emotion)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.02, max_iter=500))
    unseen = GroupKFold(4).split(features, labels, [number for _, number, _ in clips])
    assert 0.5 < cross_val_score(model, np.array(features), labels, cv=unseen).mean() < 0.92
