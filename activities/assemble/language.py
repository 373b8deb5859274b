"""The language that a document is written in, told from its text where that is sure."""

import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence

from kreuzberg import (
    ConcurrencyConfig,
    ExtractionConfig,
    LanguageDetectionConfig,
    extract_bytes_sync,
)

from activities.inspect import file_type
from muniment.contracts.documents import Page

MOST_PAGES = 32
MOST_CHARACTERS = 16_000
"""Looked at, from the middle of pages that lie evenly over the document."""
MOST_SAMPLES = 8
SAMPLE_CHARACTERS = 300
LEAST_LETTERS = 60
"""Of less text the detector guesses; a letter of Chinese, Japanese or Korean stands for several."""
EAST_ASIAN_LETTER = 4
CONFIDENT = 0.9
LEAST_SHARE = 0.5
"""Of all samples: the others may be tables and names."""
LEAST_SHARE_OF_TOLD = 0.8
"""Of samples whose language was told: a document of two languages is of neither."""

_NO_PROSE = frozenset(
    (
        *(kind.media_type for kind in file_type.SOURCE_CODE.values()),
        file_type.JSON.media_type,
        *(kind.media_type for kind in (file_type.PARQUET, file_type.ZIP, file_type.TAR)),
    )
)
_NO_WORD = frozenset("0123456789@/\\<>=_{}|#")
_LETTERS_AND_MARKS = "LM"
"""In the scripts of India vowels are marks."""
_FIRST_EAST_ASIAN = "\u2e80"

_CODES = (
    "afr:af aka:ak amh:am ara:ar aze:az bel:be ben:bn bul:bg cat:ca ces:cs cmn:zh cym:cy dan:da"
    " deu:de ell:el eng:en epo:eo est:et fin:fi fra:fr guj:gu heb:he hin:hi hrv:hr hun:hu hye:hy"
    " ind:id ita:it jav:jv jpn:ja kan:kn kat:ka khm:km kor:ko lat:la lav:lv lit:lt mal:ml mar:mr"
    " mkd:mk mya:my nep:ne nld:nl nob:nb ori:or pan:pa pes:fa pol:pl por:pt ron:ro rus:ru sin:si"
    " slk:sk slv:sl sna:sn spa:es srp:sr swe:sv tam:ta tel:te tgl:tl tha:th tuk:tk tur:tr ukr:uk"
    " urd:ur uzb:uz vie:vi yid:yi zul:zu"
)
_TAGS = dict(pair.split(":") for pair in _CODES.split())
"""The detector's codes (ISO 639-3) as IETF tags, which take the shortest there is (RFC 5646, 2.2.1)."""

_DETECTION = ExtractionConfig(
    use_cache=False,
    concurrency=ConcurrencyConfig(max_threads=1),
    language_detection=LanguageDetectionConfig(
        enabled=True, min_confidence=CONFIDENT, detect_multiple=False
    ),
)


def language_of(pages: Sequence[Page], media_type: str) -> str | None:
    """The IETF tag; None where the text is short, of several languages, or no prose."""
    if media_type in _NO_PROSE or not pages:
        return None
    samples = [sample for sample in _samples(_prose(pages)) if _is_long_enough(sample)]
    found = Counter(tag for sample in samples if (tag := _detect(sample)) is not None)
    if not found:
        return None
    tag, count = found.most_common(1)[0]
    enough = max(LEAST_SHARE * len(samples), LEAST_SHARE_OF_TOLD * found.total())
    return tag if count >= enough else None


def _prose(pages: Sequence[Page]) -> str:
    """Words of pages that lie evenly over the document, without numbers, addresses and codes."""
    chosen = pages[:: -(-len(pages) // MOST_PAGES)]
    share = MOST_CHARACTERS // len(chosen)
    words = (word for page in chosen for word in _middle(page.text, share).split())
    return " ".join(word for word in words if _NO_WORD.isdisjoint(word))


def _middle(text: str, length: int) -> str:
    start = max(0, len(text) - length) // 2
    return text[start : start + length]


def _samples(text: str) -> Iterator[str]:
    """All of a short text; of a long one as many samples as are enough, evenly apart."""
    step = max(SAMPLE_CHARACTERS, len(text) // MOST_SAMPLES)
    for start in range(0, max(1, len(text) - SAMPLE_CHARACTERS // 2), step):
        yield text[start : start + SAMPLE_CHARACTERS]


def _is_long_enough(sample: str) -> bool:
    letters = sum(
        EAST_ASIAN_LETTER if letter >= _FIRST_EAST_ASIAN else 1
        for letter in sample
        if unicodedata.category(letter)[0] in _LETTERS_AND_MARKS
    )
    return letters >= LEAST_LETTERS


def _detect(sample: str) -> str | None:
    found = extract_bytes_sync(
        sample.encode("utf-8", "replace"), "text/plain", _DETECTION
    ).detected_languages
    return _TAGS.get(found[0]) if found else None
