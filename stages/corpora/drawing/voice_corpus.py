"""Drawn voices in RAVDESS's own layout (Livingstone & Russo 2018): `Actor_07/03-01-05-01-02-01-07.wav`.

A name is modality-channel-emotion-intensity-statement-repetition-actor; 03-01 is sound alone, speech.
"""

import wave
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stages.core.errors import refuse
from stages.core.seeding import generator
from stages.corpora.drawing.speaker import Speaker, draw_speaker
from stages.corpora.drawing.voice import INTENSITIES, SAMPLE_RATE_HZ, draw_voice

EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fear", "disgust", "surprise")  # codes 01 to 08
STATEMENTS = REPETITIONS = (1, 2)
ACTORS = 24
CLIPS_PER_ACTOR = 60
MIN_CLIPS_PER_ACTOR = 12  # fewer clips than that times the actors: fewer actors


class Clip(NamedTuple):
    """What a file name says. Numbers count from 1."""

    emotion: int
    intensity: int
    statement: int
    repetition: int
    actor: int

    @property
    def name(self) -> str:
        return "-".join(f"{code:02d}" for code in (3, 1, *self))


def write_corpus(folder: Path, *, size: int, seed: int) -> None:
    """Draw `size` clips, at most 24 × 60, into `folder`: 16 kHz, 16 bit, mono.

    The bytes of a file depend on `seed` and its name alone: a larger corpus holds the same voices.
    """
    if not 1 <= size <= ACTORS * CLIPS_PER_ACTOR:
        allowed = f"1 to {ACTORS * CLIPS_PER_ACTOR} ({ACTORS} actors × {CLIPS_PER_ACTOR} clips)"
        refuse("no such number of clips", where="synthetic.size", allowed=allowed, received=size)
    actors = max(1, min(ACTORS, size // MIN_CLIPS_PER_ACTOR))
    for actor in range(1, actors + 1):
        count = size // actors + (actor <= size % actors)
        _write_actor(folder / f"Actor_{actor:02d}", choose_clips(actor, count, seed), seed)


def choose_clips(actor: int, count: int, seed: int) -> list[Clip]:
    """`count` of an actor's 60 clips, each emotion in RAVDESS's proportion; all are there from 8 clips on."""
    rng = generator(seed, "ravdess/order", actor)
    ranked = [pair for emotion in range(1, len(EMOTIONS) + 1) for pair in _ranked(emotion, actor, rng)]
    return sorted(clip for _, clip in sorted(ranked)[:count])


def _ranked(emotion: int, actor: int, rng: np.random.Generator) -> Iterator[tuple[float, Clip]]:
    """An emotion's clips in random order, their ranks spread evenly over 0 to 1."""
    intensities = (1,) if EMOTIONS[emotion - 1] == "neutral" else (1, 2)
    takes = list(product(intensities, STATEMENTS))
    order = [
        (*takes[i], repetition) for repetition in rng.permutation(REPETITIONS) for i in rng.permutation(len(takes))
    ]
    for place, (intensity, statement, repetition) in enumerate(order):
        # Early in its share, so that the rarer neutral is not left out of a small choice.
        rank = (place + 0.5 * rng.random()) / len(order)
        yield rank, Clip(emotion, intensity, statement, int(repetition), actor)


def _write_actor(folder: Path, clips: list[Clip], seed: int) -> None:
    folder.mkdir(parents=True)
    who = draw_speaker(clips[0].actor, generator(seed, "ravdess/speaker", clips[0].actor))
    for clip in clips:
        _write(folder / f"{clip.name}.wav", draw_clip(clip, who, seed))


def draw_clip(clip: Clip, who: Speaker, seed: int) -> np.ndarray:
    """The sound of one file, float32 (samples,)."""
    rng = generator(seed, f"ravdess/{clip.name}")
    return draw_voice(EMOTIONS[clip.emotion - 1], INTENSITIES[clip.intensity - 1], clip.statement, who, rng)


def _write(path: Path, sound: np.ndarray) -> None:
    with wave.open(str(path), "wb") as stream:
        stream.setnchannels(1)
        stream.setsampwidth(2)
        stream.setframerate(SAMPLE_RATE_HZ)
        stream.writeframes(np.rint(sound * 32_767.0).astype("<i2").tobytes())
