"""Synthetic speech in the layout of RAVDESS (Livingstone & Russo 2018): `Actor_07/03-01-05-01-02-01-07.wav`.

A name is modality-channel-emotion-intensity-statement-repetition-actor; 03-01 is audio only, speech.
"""

import wave
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stages.core.errors import refuse
from stages.core.seeding import generator
from stages.synthetic.speech.source_filter import SAMPLE_RATE_HZ
from stages.synthetic.speech.speaker import sample_speaker
from stages.synthetic.speech.voice import synthesise_clip

EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fear", "disgust", "surprise")  # codes 01 to 08
INTENSITIES = ("normal", "strong")
STATEMENTS = REPETITIONS = (1, 2)
ACTORS = 24
CLIPS_PER_ACTOR = 60
MIN_CLIPS_PER_ACTOR = 12  # a corpus too small for that has fewer actors


class Clip(NamedTuple):
    """The fields of a file name, numbered from 1."""

    emotion: int
    intensity: int
    statement: int
    repetition: int
    actor: int

    @property
    def name(self) -> str:
        return "-".join(f"{code:02d}" for code in (3, 1, *self))


def write_corpus(folder: Path, *, size: int, seed: int) -> None:
    """Write `size` clips, at most 24 × 60, into `folder`: 16 kHz, 16 bit, mono. Each depends on `seed` and its name."""
    if size > ACTORS * CLIPS_PER_ACTOR:
        allowed = f"1 to {ACTORS * CLIPS_PER_ACTOR} ({ACTORS} actors × {CLIPS_PER_ACTOR} clips)"
        refuse("no such number of clips", where="synthetic.size", allowed=allowed, received=size)
    actors = max(1, min(ACTORS, size // MIN_CLIPS_PER_ACTOR))
    for actor in range(1, actors + 1):
        count = size // actors + (actor <= size % actors)
        _write_actor(folder / f"Actor_{actor:02d}", choose_clips(actor, count, seed), seed)


def choose_clips(actor: int, count: int, seed: int) -> list[Clip]:
    """Return `count` of the 60 clips of an actor, with emotions in the proportion of RAVDESS, all from 8 clips on."""
    rng = generator(seed, "ravdess/order", actor)
    ranked = [pair for emotion in range(1, len(EMOTIONS) + 1) for pair in _ranked(emotion, actor, rng)]
    return sorted(clip for _, clip in sorted(ranked)[:count])


def _ranked(emotion: int, actor: int, rng: np.random.Generator) -> Iterator[tuple[float, Clip]]:
    """Yield (rank, clip) for the clips of an emotion in random order, with ranks spread evenly over 0 to 1."""
    intensities = (1,) if EMOTIONS[emotion - 1] == "neutral" else (1, 2)
    takes = list(product(intensities, STATEMENTS))
    order = [
        (*takes[i], repetition) for repetition in rng.permutation(REPETITIONS) for i in rng.permutation(len(takes))
    ]
    for index, (intensity, statement, repetition) in enumerate(order):
        # In the first half of its interval, so that a small choice includes neutral, which has fewer clips.
        rank = (index + 0.5 * rng.random()) / len(order)
        yield rank, Clip(emotion, intensity, statement, int(repetition), actor)


def _write_actor(folder: Path, clips: list[Clip], seed: int) -> None:
    folder.mkdir(parents=True)
    speaker = sample_speaker(clips[0].actor, generator(seed, "ravdess/speaker", clips[0].actor))
    for clip in clips:
        emotion, intensity = EMOTIONS[clip.emotion - 1], INTENSITIES[clip.intensity - 1]
        rng = generator(seed, f"ravdess/{clip.name}")
        sound = synthesise_clip(emotion, intensity, clip.statement, speaker, rng)  # (samples,)
        with wave.open(str(folder / f"{clip.name}.wav"), "wb") as stream:
            stream.setnchannels(1)
            stream.setsampwidth(2)
            stream.setframerate(SAMPLE_RATE_HZ)
            stream.writeframes(np.rint(sound * 32_767.0).astype("<i2").tobytes())
