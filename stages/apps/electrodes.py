"""What the features of EEG belong to: names of channels and bands, and where on the head the channels lie."""

from typing import Any

import numpy as np

BANDS = ("delta", "theta", "alpha", "beta", "gamma")
# Of SEED's cap, in the order of its features (Liu et al. 2021, channel_62_pos.locs).
SEED_CHANNELS = (
    *("Fp1", "Fpz", "Fp2", "AF3", "AF4"),
    *("F7", "F5", "F3", "F1", "Fz", "F2", "F4", "F6", "F8"),
    *("FT7", "FC5", "FC3", "FC1", "FCz", "FC2", "FC4", "FC6", "FT8"),
    *("T7", "C5", "C3", "C1", "Cz", "C2", "C4", "C6", "T8"),
    *("TP7", "CP5", "CP3", "CP1", "CPz", "CP2", "CP4", "CP6", "TP8"),
    *("P7", "P5", "P3", "P1", "Pz", "P2", "P4", "P6", "P8"),
    *("PO7", "PO5", "PO3", "POz", "PO4", "PO6", "PO8"),
    *("CB1", "O1", "Oz", "O2", "CB2"),
)
# Older names, and the two of SEED's cap that the 10-05 system lacks, by what lies nearest.
_SAME = {"CB1": "PO9", "CB2": "PO10", "T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}


def channel_names(info: dict[str, Any]) -> list[str]:
    """Of a run's features, in their order; numbers where nothing tells the names."""
    count = info["input"]["shape"][1] // len(BANDS)
    if info["feature"]["name"] == "eeg_de":
        return list(info["feature"]["channels"])
    return list(SEED_CHANNELS) if count == len(SEED_CHANNELS) else [str(number + 1) for number in range(count)]


def over_bands(values: np.ndarray) -> np.ndarray:
    """(…, features) → (…, channels, bands): the five bands of the first channel stand first."""
    return values.reshape(*values.shape[:-1], -1, len(BANDS))


def positions(names: list[str]) -> tuple[np.ndarray, list[int]]:
    """(n, 2) to the right and to the front, the head's radius being 1; and which of `names` they are, each place once.

    Of channels that the 10-05 system knows, seen from above: azimuth kept, distance from the crown along the scalp.
    """
    import mne  # a second to load, for pictures of heads alone

    montage = mne.channels.make_standard_montage("colin27_1005").get_positions()["ch_pos"]
    places = {name.lower(): place for name, place in montage.items()}
    plain = [_plain(name).lower() for name in names]
    known = [index for index, name in enumerate(plain) if name in places and name not in plain[:index]]
    if not known:
        return np.empty((0, 2)), []
    middle = np.mean([places[name] for name in ("fpz", "oz", "t7", "t8")], axis=0)  # of the cap's rim
    xyz = np.stack([places[plain[index]] for index in known]) - middle  # (n, 3)
    from_crown = np.arccos(xyz[:, 2] / np.linalg.norm(xyz, axis=1)) / (np.pi / 2)  # 1 at the rim
    azimuth = np.arctan2(xyz[:, 1], xyz[:, 0])
    return np.stack([from_crown * np.cos(azimuth), from_crown * np.sin(azimuth)], axis=1), known


def _plain(name: str) -> str:
    """'EEG Fp1-Ref' as 'Fp1'."""
    name = name.removeprefix("EEG ").strip().split("-")[0]
    return _SAME.get(name.upper(), name)
