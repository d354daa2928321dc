"""What a file is, where a run does not read it: sound and video in the same container."""

from pathlib import Path

import pytest

from stages.serving.inputs import wrong_kind


def container(brand: bytes, *handlers: bytes) -> bytes:
    """Return the boxes of an MP4 that matter: its brand, and a track of each kind behind its content."""
    tracks = b"".join(b"\0\0\0\x21hdlr" + bytes(8) + handler + bytes(13) for handler in handlers)
    return b"\0\0\0\x18ftyp" + brand + bytes(12) + b"\0\0\x10\x08mdat" + bytes(4096) + b"\0\0\0\x40moov" + tracks


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (container(b"M4A ", b"soun"), "M4A audio; allowed: audio"),
        (container(b"mp42", b"soun"), "M4A audio; allowed: audio"),  # Android's recorder
        (container(b"isom", b"soun"), "ffmpeg -i clip.m4a clip.wav"),
        (container(b"3gp4", b"soun"), "M4A audio"),
        (container(b"mp42", b"vide", b"soun"), "an MP4 video"),
        (container(b"qt  ", b"vide"), "an MP4 video"),
        (container(b"isom"), "an MP4 video"),
    ],
)
def test_tells_sound_from_video(tmp_path: Path, content: bytes, words: str):
    path = tmp_path / "clip.m4a"
    path.write_bytes(content)
    assert words in wrong_kind(path, "audio")
