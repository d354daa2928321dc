"""Seeds are pinned: a silent change of them would change every result of the project."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from stages.core.seeding import derive, generator

steps = st.integers(0, 2**40)


def test_values_never_change():
    assert derive(7, "initial weights") == 8_705_038_671_759_377_790
    assert derive(0, "shuffle", 3) == 108_925_827_939_276_202
    assert generator(7, "shuffle", 1).permutation(6).tolist() == [0, 4, 3, 2, 1, 5]


def test_streams_seeds_and_steps_differ():
    found = [derive(*given) for given in itertools.product(range(5), ("shuffle", "split", "bootstrap"), range(50))]
    assert len(set(found)) == len(found)


@given(seed=steps, stream=st.text(), step=steps)
def test_fits_every_library(seed, stream, step):
    """PyTorch takes signed 64 bits."""
    assert 0 <= derive(seed, stream, step) < 2**63


def test_a_step_draws_the_same_whatever_was_drawn_before():
    generator(7, "shuffle", 0).random(1000)
    assert generator(7, "shuffle", 1).random() == generator(7, "shuffle", 1).random()
