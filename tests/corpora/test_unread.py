"""Files that no reader of recordings reads are named, those that belong to a recording are not."""

from pathlib import Path

import pytest
from archive_files import make_zip

from stages.corpora.archive.unread import unread_files

SPEECH = ["angry/1.wav", "sad/2.MP3", "clips.csv", "sad/2.opus"]
EEG = [
    "sub-1/a.edf",
    "sub-1_events.tsv",
    "trials.csv",
    "b.set",
    "b.fdt",
    "c.vhdr",
    "c.eeg",
    "c.vmrk",
    "d.json",
    "1.npz",
]


@pytest.mark.parametrize(
    ("group", "read", "unread"),
    [
        ("speaker", SPEECH, ["angry/1.mp4", "sad/2.amr", "notes", "README.txt"]),
        ("speaker", SPEECH, []),
        ("subject", EEG, ["x.mat", "y.xdf", "lonely.fdt", "lonely.eeg"]),
        ("subject", EEG, []),
    ],
)
def test_names_what_is_not_read(tmp_path: Path, group: str, read: list[str], unread: list[str]):
    hidden = ["__MACOSX/a.mat", ".git/config", "angry/.DS_Store", "Thumbs.db"]
    archive = make_zip(tmp_path / "a.zip", dict.fromkeys([*read, *hidden, *unread], b"x"))
    assert sorted(unread_files(archive, group)) == sorted(unread)
