"""Random seeds, derived from (seed, stream name, step), so that no stream depends on what ran before it."""

import hashlib

import numpy as np


def derive(seed: int, stream: str, step: int = 0) -> int:
    """Return a 63-bit seed for one step of one named stream, the same on every machine."""
    digest = hashlib.blake2b(f"{seed}/{stream}/{step}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def generator(seed: int, stream: str, step: int = 0) -> np.random.Generator:
    """Return a NumPy generator with the derived seed."""
    return np.random.default_rng(derive(seed, stream, step))
