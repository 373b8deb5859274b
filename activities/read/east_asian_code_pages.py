"""The code page of Chinese, Japanese and Korean: the one in which the characters are everyday ones.

Each of them reads most texts of the others without a fault, as rare characters.
"""

from collections import Counter

from activities.read.decoding_losses import losses

_MINIMUM_CHARACTERS = 10
"""Of fewer, every reading may consist of everyday characters by chance."""
_MAXIMUM_BROKEN_SHARE = 0.02
_MINIMUM_KANA_SHARE = 0.12
_MINIMUM_JAPANESE_SHARE = 0.95
_MINIMUM_HANGUL_SHARE = 0.9
_MINIMUM_EVERYDAY_SHARE = 0.85


def east_asian_code_page_of(sample: bytes) -> str | None:
    """The codec; None where the sample is of another script, or too short to tell. Japanese comes
    first and Korean second: GB 18030 has kana in the same place, and everyday characters where
    EUC-KR has its syllables."""
    for codec in ("euc_jp", "cp932"):
        if (found := _characters(sample, codec)) and _is_japanese(found):
            return codec
    if (found := _characters(sample, "cp949")) and _is_korean(found):
        return "cp949"
    chinese = {
        codec: _everyday_share(found, codec, first, last)
        for codec, first, last in (("gb18030", 0xB0, 0xD7), ("big5hkscs", 0xA4, 0xC6))
        if (found := _characters(sample, codec))
    }
    best = max(chinese, key=chinese.__getitem__, default=None)
    return best if best is not None and chinese[best] >= _MINIMUM_EVERYDAY_SHARE else None


def _characters(sample: bytes, codec: str) -> Counter[str]:
    """The characters outside ASCII but punctuation; none where the codec loses much, or where they
    are few."""
    broken, foreign = losses(sample, codec)
    if broken > _MAXIMUM_BROKEN_SHARE * foreign:
        return Counter()
    text = sample.decode(codec, "ignore")
    found = Counter(
        character for character in text if not character.isascii() and character.isalpha()
    )
    few = found.total() < max(_MINIMUM_CHARACTERS, foreign / 2)
    return Counter() if few else found


def _is_japanese(found: Counter[str]) -> bool:
    kana = _count_between(found, "\u3041", "\u30ff")
    kanji = _count_between(found, "\u4e00", "\u9fff")
    return (
        kana >= _MINIMUM_KANA_SHARE * found.total()
        and kana + kanji >= _MINIMUM_JAPANESE_SHARE * found.total()
    )


def _is_korean(found: Counter[str]) -> bool:
    return _count_between(found, "\uac00", "\ud7a3") >= _MINIMUM_HANGUL_SHARE * found.total()


def _count_between(found: Counter[str], first: str, last: str) -> int:
    return sum(count for character, count in found.items() if first <= character <= last)


def _everyday_share(found: Counter[str], codec: str, first: int, last: int) -> float:
    """GB 2312 and Big5 order characters by use: those of the first level begin with these bytes."""
    everyday = 0
    for character, count in found.items():
        code = character.encode(codec)
        everyday += count * (len(code) == 2 and first <= code[0] <= last)
    return everyday / found.total()
