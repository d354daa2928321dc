"""The frames of an MP3 (ISO 11172-3 and 13818-3, layer III): its true length, where libsndfile would guess it."""

from stages.core.records import DamagedSample

# Of 600 s at 48 kHz, 1152 samples a frame; the lower rates of MPEG 2 have half the samples a frame.
MAX_FRAMES = 25_000

_MPEG1 = 3
_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}  # MPEG 1, 2 and 2.5
_KBPS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBPS_MPEG2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_TAGS = (b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"ID3", b"3DI")  # tags that may follow the last frame


def with_length(data: bytes) -> bytes:
    """Return the MP3 with a Xing header that states its number of frames, if it has none.

    Encoders before 2000 wrote none, and libsndfile then estimates the length from the first bit rate. Files whose
    frames cannot be followed to the end are returned unchanged. Raises `DamagedSample` for an incomplete last frame.
    """
    start = first = _end_of_tag(data)
    head = data[first : first + max(64, _frame_bytes(data, first))]
    if b"Xing" in head or b"Info" in head:
        return data
    if b"VBRI" in head:  # Fraunhofer's form of this header, which libsndfile takes for a frame of sound
        first += _frame_bytes(data, first)
    count, end = 0, first
    while count <= MAX_FRAMES and 0 < _frame_bytes(data, end) <= len(data) - end:
        count, end = count + 1, end + _frame_bytes(data, end)
    rest = data[end : end + 128]
    if count and (_frame_bytes(data, end) > len(data) - end or (0 < len(rest) < 4 and rest[:1] == b"\xff")):
        raise DamagedSample(f"cut short: its last frame, number {count + 1}, is incomplete")
    is_followed = not rest.strip(b"\0") or rest.startswith(_TAGS) or count > MAX_FRAMES
    return data[:start] + _xing(data[first : first + 4], count) + data[first:] if count and is_followed else data


def _end_of_tag(data: bytes) -> int:
    """Return where the first frame starts: behind an ID3v2 tag, whose size is in four bytes of seven bits."""
    if data[:3] != b"ID3" or len(data) < 10:
        return 0
    size = sum((byte & 127) << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=True))
    return 10 + size + (10 if data[5] & 0x10 else 0)


def _frame_bytes(data: bytes, at: int) -> int:
    """Return the length that the frame header at this position states, or 0 if there is no such header."""
    head = int.from_bytes(data[at : at + 4])
    version, layer, kbps, rate, padding = head >> 19 & 3, head >> 17 & 3, head >> 12 & 15, head >> 10 & 3, head >> 9 & 1
    if head >> 21 != 0x7FF or version not in _RATES or layer != 1 or kbps in (0, 15) or rate == 3:
        return 0
    per_second = _RATES[version][rate]
    if version == _MPEG1:
        return 144_000 * _KBPS[kbps] // per_second + padding
    return 72_000 * _KBPS_MPEG2[kbps] // per_second + padding


def _xing(header: bytes, count: int) -> bytes:
    """Return a frame without sound, in the form of the frame with this header, that states the number of frames."""
    # Bit rate 9 makes it long enough; no checksum, no padding.
    head = ((int.from_bytes(header) | 1 << 16) & ~0xF200 | 0x9000).to_bytes(4)
    is_mpeg1, is_mono = header[1] >> 3 & 3 == _MPEG1, header[3] >> 6 == 3
    side = {(True, False): 32, (True, True): 17, (False, False): 17, (False, True): 9}[is_mpeg1, is_mono]
    frame = head + bytes(side) + b"Xing" + (1).to_bytes(4) + count.to_bytes(4)
    return frame.ljust(_frame_bytes(head, 0), b"\0")
