"""Text of any common encoding, decoded; and whether bytes are text at all."""

import codecs
import re
from collections import Counter
from collections.abc import Iterator

from activities.read.code_pages import LAST_RESORT, code_page_of
from activities.read.decoding_losses import losses

_SAMPLE_BYTES = 64 * 1024
_BYTE_ORDER_MARKS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SWITCHING = re.compile(rb"\x1b(?:\$[@AB()*+-]|\([IJ])")
"""How text of seven bits says that other characters begin (ISO/IEC 2022); terminals' colours begin
otherwise."""
_SWITCHED_ENCODINGS = ("iso2022_kr", "iso2022_jp_2", "iso2022_jp_ext", "iso2022_jp_2004")
_MAXIMUM_CONTROL_SHARE = 0.02
_ALWAYS_ALLOWED_CONTROLS = 2
_TEXT_CONTROLS = frozenset(b"\t\n\r\f\x1b\x08")
_CONTROLS = bytes(sorted(frozenset(range(0x20)) - _TEXT_CONTROLS))
_WHOLE_PER_BROKEN = 4
"""Characters of several bytes that are whole, for each that is broken, in what is UTF-8 all the same:
text of another encoding has next to none by chance."""

_MINIMUM_DIFFERENCE_OF_HALVES = 0.5
_SHORT_CHARACTERS = 100
_MINIMUM_ASCII_SHARE_OF_SHORT = 0.4
_MINIMUM_READABLE_SHARE = 0.95
_MINIMUM_SEPARATOR_SHARE = 0.005
_MAXIMUM_SHARE_OF_ONE = 0.3


def encoding_of(data: bytes) -> str | None:
    """The Python codec that reads these bytes as text; None when they are not text. The whole is
    looked at for UTF-8; for what is neither that nor wide, samples from all over it."""
    if (switched := _switched_encoding(data)) is not None:
        return switched
    codec = _unicode_encoding(data)
    if codec is None and _is_narrow_text(data[:_SAMPLE_BYTES]):
        return code_page_of(data)
    return codec


def looks_like_text(data: bytes) -> bool:
    """Whether the beginning of a file, cut anywhere, is text in some encoding."""
    return _is_narrow_text(data[:_SAMPLE_BYTES]) or encoding_of(data) is not None


def decode_text(data: bytes) -> str:
    """The text, with U+FFFD for what its encoding cannot hold and line ends as they are."""
    return data.decode(encoding_of(data) or LAST_RESORT, "replace")


def _switched_encoding(data: bytes) -> str | None:
    """Of old Japanese and Korean messages, which are ASCII to whoever does not know."""
    if _SWITCHING.search(data) is None or not data.isascii():
        return None
    head = data[: data.rfind(b"\n") + 1] or data  # each line begins anew; the last may be cut
    return next((codec for codec in _SWITCHED_ENCODINGS if _reads_all(head, codec)), None)


def _reads_all(data: bytes, codec: str) -> bool:
    try:
        data.decode(codec)
    except UnicodeDecodeError:
        return False
    return True


def _unicode_encoding(data: bytes) -> str | None:
    head = data[:_SAMPLE_BYTES]
    for mark, codec in _BYTE_ORDER_MARKS:
        if head.startswith(mark):
            return codec if _is_marked_text(head, codec) else None
    controls = _control_count(head)
    if b"\0" in head or controls > max(_ALWAYS_ALLOWED_CONTROLS, _allowed_controls(head)):
        return next(_wide_encodings(head), None)
    broken, foreign = losses(data, "utf-8")
    if not broken or (
        controls <= _allowed_controls(head) and foreign - broken >= _WHOLE_PER_BROKEN * broken
    ):
        return "utf-8-sig" if head.startswith(codecs.BOM_UTF8) else "utf-8"
    return None


def _is_narrow_text(head: bytes) -> bool:
    marked = any(head.startswith(mark) for mark, _ in _BYTE_ORDER_MARKS)
    return not marked and b"\0" not in head and _control_count(head) <= _allowed_controls(head)


def _control_count(head: bytes) -> int:
    return len(head) - len(head.translate(None, delete=_CONTROLS))


def _allowed_controls(head: bytes) -> float:
    return _MAXIMUM_CONTROL_SHARE * len(head)


def _is_marked_text(head: bytes, codec: str) -> bool:
    text = _decoded(head, codec)
    spoilt = sum(1 for character in text if _is_control(character) or character == "�")
    return spoilt <= max(_ALWAYS_ALLOWED_CONTROLS, _MAXIMUM_CONTROL_SHARE * len(text))


def _is_control(character: str) -> bool:
    code = ord(character)
    return code < 0x20 and code not in _TEXT_CONTROLS


def _wide_encodings(head: bytes) -> Iterator[str]:
    """UTF-32 and UTF-16 without a mark, those that make sense, best first. Few different bytes stand
    in the higher halves of UTF-16, whatever the script: they tell the order."""
    little_first = len(set(head[1::2])) <= len(set(head[0::2]))
    orders = ("utf-16-le", "utf-16-be") if little_first else ("utf-16-be", "utf-16-le")
    for codec in ("utf-32-le", "utf-32-be", *(orders if _has_two_halves(head) else ())):
        if _is_prose(_decoded(head, codec)):
            yield codec


def _has_two_halves(head: bytes) -> bool:
    """Whether other bytes stand in even places than in odd ones. They do in all that is made of two
    bytes each; where they do not, pairs of ASCII letters would be read as Chinese."""
    even, odd = Counter(head[0::2]), Counter(head[1::2])
    in_common = sum((even & odd).values())
    return in_common <= (1 - _MINIMUM_DIFFERENCE_OF_HALVES) * len(head) / 2


def _is_prose(text: str) -> bool:
    """Whether bytes that need not have been wide characters make text: numbers and pictures decode
    to characters too, though not to ones that are assigned, with white space and stops between."""
    counts = Counter(text)
    ascii_count = sum(count for character, count in counts.items() if character.isascii())
    if len(text) < _SHORT_CHARACTERS and ascii_count <= _MINIMUM_ASCII_SHARE_OF_SHORT * len(text):
        return False
    commonest = max(counts, key=counts.__getitem__)
    is_mixed = ascii_count < _MINIMUM_READABLE_SHARE * len(text)
    if is_mixed and counts[commonest] > _MAXIMUM_SHARE_OF_ONE * len(text):
        return False
    readable = sum(count for character, count in counts.items() if _is_readable(character))
    separators = sum(count for character, count in counts.items() if _separates(character))
    if separators < _MINIMUM_SEPARATOR_SHARE * len(text):
        return False
    return readable >= _MINIMUM_READABLE_SHARE * len(text)


def _is_readable(character: str) -> bool:
    return character != "\ufffd" and (character.isprintable() or character in "\t\n\r\f")


def _separates(character: str) -> bool:
    """ASCII, and what stands between sentences where there is none of it."""
    return (
        character.isascii()
        or "\u2010" <= character <= "\u201f"
        or "\u3000" <= character <= "\u3002"
        or "\uff01" <= character <= "\uff1f"
    )


def _decoded(head: bytes, codec: str) -> str:
    """Without a character that is cut off at the end."""
    return codecs.getincrementaldecoder(codec)("replace").decode(head)
