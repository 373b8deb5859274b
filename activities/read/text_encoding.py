"""Text of any common encoding, decoded; and whether bytes are text at all."""

import codecs

from charset_normalizer import from_bytes

_SAMPLE_BYTES = 64 * 1024
_BYTE_ORDER_MARKS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
LAST_RESORT = "cp1252"
_MAXIMUM_CONTROL_SHARE = 0.02
_ALWAYS_ALLOWED_CONTROLS = 2
_TEXT_CONTROLS = frozenset(b"\t\n\r\f\x1b\x08\x85")


def encoding_of(data: bytes) -> str | None:
    """The Python codec that reads these bytes as text; None when they are not text."""
    for mark, codec in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return codec if _readable(data, codec) else None
    if b"\0" in data[:_SAMPLE_BYTES]:
        return _wide_encoding(data)
    if _readable(data, "utf-8"):
        return "utf-8"
    if _control_share(data[:_SAMPLE_BYTES]) > _MAXIMUM_CONTROL_SHARE:
        return None
    best = from_bytes(data[:_SAMPLE_BYTES]).best()
    return LAST_RESORT if best is None else best.encoding


def looks_like_text(data: bytes) -> bool:
    """Whether the beginning of a file, cut anywhere, is text in some encoding."""
    return encoding_of(data) is not None


def decode_text(data: bytes) -> str:
    """The text, with U+FFFD for what its encoding cannot hold and line ends as they are."""
    return data.decode(encoding_of(data) or LAST_RESORT, "replace")


def _wide_encoding(data: bytes) -> str | None:
    """UTF-16 without a mark: in Western text every other byte is zero."""
    sample = data[: _SAMPLE_BYTES // 2 * 2]
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    half = len(sample) / 2
    if odd > 0.4 * half and even < 0.05 * half:
        return "utf-16-le" if _readable(data, "utf-16-le") else None
    if even > 0.4 * half and odd < 0.05 * half:
        return "utf-16-be" if _readable(data, "utf-16-be") else None
    return None


def _readable(data: bytes, codec: str) -> bool:
    """A character cut off at the end of a sample does not count against the codec."""
    try:
        text = codecs.getincrementaldecoder(codec)("strict").decode(data)
    except UnicodeDecodeError:
        return False
    controls = sum(1 for character in text[:_SAMPLE_BYTES] if _is_control(character))
    return controls <= max(
        _ALWAYS_ALLOWED_CONTROLS, _MAXIMUM_CONTROL_SHARE * min(len(text), _SAMPLE_BYTES)
    )


def _is_control(character: str) -> bool:
    code = ord(character)
    return code < 0x20 and code not in _TEXT_CONTROLS


def _control_share(data: bytes) -> float:
    controls = sum(1 for byte in data if byte < 0x20 and byte not in _TEXT_CONTROLS)
    return controls / max(1, len(data))
