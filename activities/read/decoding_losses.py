"""What a codec loses of a content, counted piece by piece so that no second copy of it is made."""

import codecs

_PIECE_BYTES = 1024 * 1024
_UTF8_REPLACEMENT = "�".encode()


def losses(data: bytes, codec: str) -> tuple[int, int]:
    """How many U+FFFD stand in for broken bytes, and how many characters outside ASCII there are in
    all, those among them. A character that is cut off at the end does not count."""
    decoder = codecs.getincrementaldecoder(codec)("replace")
    broken = foreign = 0
    for start in range(0, len(data), _PIECE_BYTES):
        piece = data[start : start + _PIECE_BYTES]
        text = decoder.decode(piece)
        if text.isascii():
            continue
        broken += text.count("�")
        if codec == "utf-8":  # where the character itself may well have been written down
            broken -= piece.count(_UTF8_REPLACEMENT)
        foreign += len(text) - len(text.encode("ascii", "ignore"))
    return max(0, broken), foreign
