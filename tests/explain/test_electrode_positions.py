"""Names and positions of EEG channels, and the head maps drawn from them."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from stages.explain.attribution_picture import _heads, positions
from stages.explain.prediction_picture import SEED_CHANNELS, channel_names


def test_positions_of_the_seed_cap():
    places, known = positions(list(SEED_CHANNELS))
    assert known == list(range(62))
    x, y = ({name: place[axis] for name, place in zip(SEED_CHANNELS, places, strict=True)} for axis in (0, 1))
    assert y["Fpz"] > 0.8 > abs(x["Fpz"])  # x to the right, y to the front
    assert x["T7"] < -0.8
    assert y["O1"] < -0.7
    assert x["O1"] < 0 < x["O2"]
    assert np.hypot(x["Cz"], y["Cz"]) < 0.2
    assert np.linalg.norm(places, axis=1).max() < 1.4


@pytest.mark.parametrize(
    ("names", "known"),
    [
        (["EEG Fp1-Ref", "T3", "X9", "t7"], [0, 1]),  # T3 is an older name of T7
        (["A", "B"], []),
    ],
)
def test_positions_leave_out_unknown_and_repeated_channels(names: list[str], known: list[int]):
    places, indices = positions(names)
    assert indices == known
    assert places.shape == (len(known), 2)


@pytest.mark.parametrize(
    ("n_features", "feature", "names"),
    [
        (15, {"name": "eeg_de", "channels": ["Fz", "Cz", "Pz"]}, ["Fz", "Cz", "Pz"]),
        (310, {"name": "eeg"}, list(SEED_CHANNELS)),
        (20, {"name": "eeg"}, ["1", "2", "3", "4"]),
    ],
)
def test_channel_names(n_features: int, feature: dict, names: list[str]):
    assert channel_names({"input": {"shape": [60, n_features]}, "feature": feature}) == names


def test_head_map_encloses_all_electrodes():
    """Also CB1 and CB2 of the SEED cap, which lie below the rim through Fpz and Oz."""
    figure = Figure()
    values = np.linspace(-1, 1, 62 * 5).reshape(-1, 5)
    _heads(figure, figure.add_gridspec(1, 1)[0], list(SEED_CHANNELS), values, "trial")
    assert len(figure.axes) == 5
    for axes in figure.axes:
        outline = np.linalg.norm(axes.lines[0].get_xydata(), axis=1)  # the circle comes before nose and ears
        assert outline.max() == pytest.approx(outline.min())
        assert axes.images[0].get_extent() == pytest.approx([-outline[0], outline[0]] * 2)
        _, electrodes = axes.collections  # contours come first
        assert np.linalg.norm(electrodes.get_offsets(), axis=1).max() < outline[0]
