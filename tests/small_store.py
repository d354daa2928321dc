"""Small prepared datasets, with images that hold the number of their sample."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from stages.datasets.store import Description, create

DESCRIPTION = Description(
    classes=["angry", "happy", "sad"],
    corpus="faces",
    name="FER-2013",
    source="zip",
    synthetic=False,
    layout=["channel", "height", "width"],
    scale_factor=1 / 255,
    add_offset=0.0,
    rate_hz=None,
    group_kind="speaker",
    normalize_groups="none",
    feature={"name": "faces", "size_px": 8, "color": "gray"},
    rejected=["b.png: 0 bytes", "é.png: a GIF"],
    cut=2,
    longest=9,
    teachers=["x: weight 0.5, temperature 1.0"],
)


def write_store(
    path: Path,
    x: np.ndarray,
    *,
    piece: int = 100,
    label: np.ndarray | None = None,
    soft_label: np.ndarray | None = None,
    sample_id: list[str] | None = None,
    **described: object,
) -> Path:
    """Write a dataset, `piece` samples at a time, and return its path. Labels are 0, 1, 2, 0, …; ids s0, s1, …"""
    label = np.arange(len(x)) % 3 if label is None else label
    sample_id = [f"s{number}" for number in range(len(x))] if sample_id is None else sample_id
    with create(path) as writer:
        for start in range(0, len(x), piece):
            at = range(start, min(start + piece, len(x)))
            soft = {} if soft_label is None else {"soft_label": soft_label[start : start + piece].tolist()}
            writer.append(
                x[start : start + piece],
                length=[number % 5 for number in at],
                label=[int(label[number]) for number in at],
                group=[f"speaker {number % 4}" if number % 2 else "" for number in at],
                sample_id=sample_id[start : start + piece],
                extra=[f'{{"gender": "{("female", "male")[number % 2]}"}}' for number in at],
                **soft,
            )
        writer.describe(replace(DESCRIPTION, **described))
    return path


def pictures(count: int, *shape: int, seed: int = 0) -> np.ndarray:
    """Return random images (count, …) uint8; the first two bytes of each hold its number."""
    x = np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)
    x.reshape(count, -1)[:, 0] = np.arange(count) % 256
    x.reshape(count, -1)[:, 1] = np.arange(count) // 256
    return x


def number_of(x: np.ndarray) -> np.ndarray:
    """Return the numbers of the samples (n,)."""
    flat = np.asarray(x).reshape(len(x), -1).astype(int)
    return flat[:, 0] + 256 * flat[:, 1]
