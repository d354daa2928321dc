"""Nearly equal images: copies that were re-encoded, resized, mirrored or changed a little in brightness.

Each image gets a perceptual hash of 143 bits, the signs of its lowest cosine frequencies. Measured on FER-2013:

- Copies saved as JPEG of quality 50, reduced by a quarter, or enlarged, are at most 15 bits away (1,500 faces), mirror
  images none. A copy that was shifted by one pixel is 19 bits away in the median, so that most of those are not found.
- 1,755 of its training and PublicTest faces are in 644 sets of nearly equal images; 102 sets have several labels. 24 of
  these were looked at, and the 12 largest sets: each was one photograph several times.
- Of the 103 million pairs of PublicTest and Training, 661 are at most 16 bits apart, 371 of them with the same bytes.
  The 64 most distant of the pairs that differ in 11 to 20 bits were looked at: each was one photograph twice. The usual
  63 bits would confuse different faces, as all faces are alike: 3,794 pairs are at most 10 bits apart.
"""

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
from PIL import Image

from stages.core.records import DamagedSample, Record

SIDE, FREQUENCIES = 32, 12
BITS = FREQUENCIES**2 - 1  # all frequencies except the mean
MAX_DISTANCE = 16  # near duplicates differ in at most this number of bits
BANDS = 13  # of 11 bits: hashes are compared if they share a band, as they do if at most 12 bits differ, else in 99 %
MIN_SD = 2.0  # in grey levels; plainer images all look alike
BATCH, CANDIDATES = 1024, 1 << 21  # images and pairs at a time, so that memory does not grow with the corpus

_BYTES = 24  # a hash is padded to whole 64-bit words
_MIRRORED = (np.arange(1, BITS + 1) % FREQUENCIES % 2).astype(np.uint8)  # bits that a mirror image inverts


def hash_records(records: Iterable[Record]) -> np.ndarray:
    """Return the hash (n, 24) uint8 of each record, zeros if it has none: damaged, plain, or not an image."""
    thumbnails, hashes = map(_thumbnail, records), [np.zeros((0, _BYTES), dtype=np.uint8)]
    while batch := list(islice(thumbnails, BATCH)):
        hashes.append(hash_thumbnails(np.stack(batch)))
    return np.concatenate(hashes)


def hash_thumbnails(grey: np.ndarray) -> np.ndarray:
    """Return the hash (n, 24) uint8 of each of the grey images (n, 32, 32), zeros where it is plain."""
    grey = grey.astype(np.float32)
    position, frequency = np.arange(SIDE), np.arange(FREQUENCIES)[:, None]
    cosines = np.cos(np.pi * (position + 0.5) * frequency / SIDE).astype(np.float32)
    coefficients = (cosines @ grey @ cosines.T).reshape(len(grey), -1)[:, 1:]
    return _packed((coefficients > 0) & (grey.std(axis=(1, 2)) >= MIN_SD)[:, None])


def near_duplicates(content: list[str], hashes: np.ndarray) -> list[list[int]]:
    """Return the sets of nearly equal samples (indices), in which not all have the same bytes."""
    from scipy.sparse import coo_array  # half a second to import, and only images need it
    from scipy.sparse.csgraph import connected_components

    hashed = np.flatnonzero(hashes.any(axis=1))
    unique, of = np.unique(hashes[hashed], axis=0, return_inverse=True)
    first, second = close_pairs(unique)
    graph = coo_array((np.ones(len(first), dtype=bool), (first, second)), shape=(len(unique),) * 2)
    number = connected_components(graph, directed=False)[1][of] if len(hashed) else of
    order = np.argsort(number, kind="stable")
    sets = np.split(hashed[order], np.flatnonzero(np.diff(number[order])) + 1)
    return sorted(indices.tolist() for indices in sets if len({content[index] for index in indices}) > 1)


def close_pairs(hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of hashes (n, 24) that are at most `MAX_DISTANCE` bits apart, as they are or mirrored.

    Only hashes that share a band are compared, so that the time does not grow with the square of their number.
    """
    bits = np.unpackbits(hashes, axis=1)[:, :BITS]
    pairs = [np.empty((0, 2), dtype=np.int64)]
    for mirrored in (0, _MIRRORED):
        wanted = bits ^ mirrored
        words, wanted_words = hashes.view(np.uint64), _packed(wanted).view(np.uint64)
        for row, other in _candidates(bits, wanted):
            distance = np.bitwise_count(wanted_words[row] ^ words[other]).sum(axis=1)
            near = distance <= MAX_DISTANCE
            pairs.append(np.stack([row[near], other[near]], axis=1))
    first, second = np.unique(np.concatenate(pairs), axis=0).T
    return first[first != second], second[first != second]


def _candidates(bits: np.ndarray, wanted: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield blocks of index pairs (into `wanted`, into `bits`) that are equal in all bits of one band."""
    for band in range(BANDS):
        key, wanted_key = (_number(rows[:, band::BANDS]) for rows in (bits, wanted))
        order = np.argsort(key, kind="stable")
        start, end = (np.searchsorted(key[order], wanted_key, side=side) for side in ("left", "right"))
        total = np.cumsum(end - start)
        cuts = np.searchsorted(total, np.arange(CANDIDATES, total[-1] if len(total) else 0, CANDIDATES))
        for rows in np.split(np.arange(len(wanted)), cuts):
            count = (end - start)[rows]
            step = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
            yield np.repeat(rows, count), order[np.repeat(start[rows], count) + step]


def _number(bits: np.ndarray) -> np.ndarray:
    return bits @ (1 << np.arange(bits.shape[1]))


def _packed(bits: np.ndarray) -> np.ndarray:
    return np.packbits(np.pad(bits, ((0, 0), (0, 8 * _BYTES - BITS))), axis=1)


def _thumbnail(record: Record) -> np.ndarray:
    """Return the image as (32, 32) grey, black if it is damaged or the record holds no image."""
    try:
        image = record.load()[0]
    except DamagedSample:
        image = None
    if image is None or image.dtype != np.uint8:
        return np.zeros((SIDE, SIDE), dtype=np.uint8)
    grey = Image.fromarray(image).convert("L")
    return np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0))
