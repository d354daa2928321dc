"""Derived seeds are pinned, since a change would change every result of the project."""

import itertools

from stages.core.seeding import derive, generator


def test_seeds_are_pinned():
    assert derive(7, "initial weights") == 8_705_038_671_759_377_790
    assert derive(0, "shuffle", 3) == 108_925_827_939_276_202
    assert generator(7, "shuffle", 1).permutation(6).tolist() == [0, 4, 3, 2, 1, 5]


def test_seeds_differ_and_fit_63_bits():
    """PyTorch takes signed integers of 64 bits."""
    seeds = {derive(*args) for args in itertools.product(range(5), ("shuffle", "split", "bootstrap"), range(50))}
    assert len(seeds) == 5 * 3 * 50
    assert all(0 <= seed < 2**63 for seed in seeds)
