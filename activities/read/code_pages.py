"""The code page of text that is neither Unicode nor ASCII, guessed from samples of it."""

import re
from collections.abc import Iterator

from charset_normalizer import from_bytes

from activities.read.decoding_losses import losses
from activities.read.east_asian_code_pages import east_asian_code_page_of
from activities.read.latin_code_pages import latin_code_page_of

LAST_RESORT = "cp1252"
_STRETCHES = 32
_STRETCH_BYTES = 256
_REACH_BYTES = 4096
"""How far from a place that was picked a border is looked for."""
_DECLARATION_BYTES = 1024
_LOOKS = 8
_LOOK_BYTES = 512
"""The guess is made from so many looks at the sample, spread evenly."""
_WHOLE_SAMPLE_BYTES = _LOOKS * _LOOK_BYTES

_BORDERS = b"\t\n\r !\"#$%&'()*+,-./"
_BORDER = re.compile(rb"[\t\n\r -/]")
"""Bytes that are a character of their own in every encoding below: no second or later byte of a
character is less than 0x30 (GB 18030), 0x31 (Johab), 0x40 (Shift-JIS, Big5, GBK) or 0xA1 (EUC)."""
_FOREIGN = re.compile(rb"[\x80-\xff]")
_DECLARATION = re.compile(rb"(?:coding|charset)\s*[:=]", re.IGNORECASE)

_CANDIDATES = [
    *("utf_8", "gb18030", "big5", "big5hkscs", "cp932", "euc_jp", "cp949"),
    *("cp1251", "koi8_r", "koi8_u", "iso8859_5", "cp866", "mac_cyrillic", "kz1048"),
    *("cp1253", "iso8859_7", "mac_greek", "cp1255", "iso8859_8", "cp1256", "iso8859_6", "tis_620"),
    *("cp1252", "cp1250", "cp1254", "cp1257", "cp1258", "mac_roman", "cp437", "cp850", "cp852"),
]
"""Those that texts are in; beside them there are as many that read anything as something."""
_EBCDIC = ["cp037", "cp500", "cp273", "cp1140", "cp1026"]
_MINIMUM_SPACE_SHARE = 0.08
_SUPERSETS = {"big5": "big5hkscs", "iso8859_8": "cp1255", "tis_620": "cp874"}
"""What programs write under the name of the smaller one."""


def code_page_of(data: bytes) -> str:
    """The codec that makes most sense of the samples, or its superset where that loses less of the
    whole; the last resort where none makes any."""
    sample = _sample(data)
    if _is_ebcdic(sample):
        best = from_bytes(sample, cp_isolation=_EBCDIC).best()
        return _EBCDIC[0] if best is None else best.encoding
    told = latin_code_page_of(sample) or east_asian_code_page_of(sample)
    if told is not None:
        return told
    best = from_bytes(sample, steps=_LOOKS, chunk_size=_LOOK_BYTES, cp_isolation=_CANDIDATES).best()
    if best is None:
        return LAST_RESORT
    codec = best.encoding
    superset = _SUPERSETS.get(codec)
    if superset is None:
        return codec
    return superset if losses(data, superset)[0] < losses(data, codec)[0] else codec


def _is_ebcdic(sample: bytes) -> bool:
    """In which the space is what @ is in ASCII."""
    spaces = sample.count(b"@")
    return spaces >= _MINIMUM_SPACE_SHARE * len(sample) and spaces > 10 * sample.count(b" ")


def _sample(data: bytes) -> bytes:
    """Stretches from all over the data with bytes outside ASCII in each of them, and what the
    beginning says of the encoding."""
    if len(data) <= _WHOLE_SAMPLE_BYTES:
        return data
    head = data[: _last_border(data, 0, _DECLARATION_BYTES) + 1]
    declaration = [head] if _DECLARATION.search(head) else []
    return b"\n".join([*declaration, *_stretches(data)])


def _stretches(data: bytes) -> Iterator[bytes]:
    end = 0
    for number in range(_STRETCHES):
        begin = max(end, number * len(data) // _STRETCHES)
        found = _FOREIGN.search(data, begin)
        if found is None:
            return
        start = _start(data, found.start(), begin, end)
        if start is None:
            continue
        least = found.end() + _STRETCH_BYTES
        border = _BORDER.search(data, least, least + _REACH_BYTES)
        end = least + _REACH_BYTES if border is None else border.start()
        yield data[start:end]


def _start(data: bytes, foreign: int, begin: int, end: int) -> int | None:
    """Where a character begins, at or before the first byte outside ASCII from `begin` on and not
    before `end`; None where that byte may well be a later one of its character."""
    border = _last_border(data, max(end, foreign - _REACH_BYTES), foreign)
    if border >= 0:
        return border + 1
    return foreign if foreign > begin or begin == 0 else None


def _last_border(data: bytes, low: int, high: int) -> int:
    return max(data.rfind(byte, low, high) for byte in _BORDERS)
