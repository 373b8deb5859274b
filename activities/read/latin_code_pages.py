"""The code page of text in Latin letters: the one that reads all of them as one language's.

Statistics of bytes cannot tell these code pages apart, in which the same bytes are other accented
letters; but French has no ŕ, and Polish no ±.
"""

import re
from collections import Counter

_COMMONEST = "cp1252"
_CODE_PAGES = (
    *(_COMMONEST, "cp1250", "iso8859_2", "cp1254", "cp1257", "iso8859_15", "iso8859_13"),
    *("cp850", "cp852", "mac_roman"),
)
"""The commoner first, of several that read a text as well."""
_LANGUAGES: tuple[tuple[str, str], ...] = (
    ("äöüßé", ""),  # German
    ("àâæçéèêëîïôœùûü", ""),  # French
    ("áéíñóúüç", ""),  # Spanish, Irish
    ("àáâãçéêíóôõúü", ""),  # Portuguese
    ("àèéìîòóù", ""),  # Italian
    ("àçèéíïòóúü", ""),  # Catalan
    ("áäéëèïíöóüúê", ""),  # Dutch
    ("åäöéüà", ""),  # Swedish, Finnish
    ("æøåéòô", ""),  # Danish, Norwegian
    ("áæðéíóöþúý", ""),  # Icelandic
    ("çë", ""),  # Albanian
    ("äõöüšž", "õšž"),  # Estonian
    ("ąčęėįšųūž", "ėšųž"),  # Lithuanian
    ("āčēģīķļņšūž", "āīē"),  # Latvian
    ("ąćęłńóśźż", "ąęłśż"),  # Polish
    ("áčďéěíňóřšťúůýž", "čěřšž"),  # Czech
    ("áäčďéíĺľňóôŕšťúýž", "čľšťž"),  # Slovak
    ("áéíóöőúüű", "öőüű"),  # Hungarian
    ("ăâîşţ", "ăşţ"),  # Romanian
    ("čćđšž", "čšž"),  # Croatian, Slovene
    ("âçğîıiöşüû", "ğış"),  # Turkish
)
"""The letters outside ASCII of each, and those without which there is hardly a sentence."""
_MINIMUM_TYPICAL_SHARE = 0.15
_WESTERN = "".join(letters for letters, typical in _LANGUAGES if not typical)
_NOT_ASCII = bytes(range(0x80, 0x100))
_NEIGHBOURS = re.compile(rb"[\x80-\xff](?=[\x80-\xff])")
_PUNCTUATION = frozenset("“”‘’„‚«»–—…•·°§©®€£ºª¿¡²³½× ")
_WITHIN_WORDS = frozenset("‘’·–—…")
_MINIMUM_KNOWN_SHARE = 0.95
_MAXIMUM_NEIGHBOUR_SHARE = 0.35
"""Of two letters next to each other one at least is ASCII, but for rare words; not so in scripts that
only look like Latin with accents when they are read in its code pages."""
_FEW = 8
_TEXT_AROUND_EACH = 20
"""Where so few stand in so much ASCII they may be neighbours: a list of a language's letters."""


def latin_code_page_of(sample: bytes) -> str | None:
    """The codec that reads the sample as text of a language with Latin letters, or of several of
    Western Europe; None where none does, or where the sample is text of another script."""
    foreign = len(sample) - len(sample.translate(None, delete=_NOT_ASCII))
    is_crowded = len(_NEIGHBOURS.findall(sample)) > _MAXIMUM_NEIGHBOUR_SHARE * foreign
    if is_crowded and (foreign > _FEW or len(sample) < _TEXT_AROUND_EACH * foreign):
        return None
    best, most = None, _MINIMUM_KNOWN_SHARE
    for codec in _CODE_PAGES:
        letters, strays = _count(sample.decode(codec, "replace"))
        known = max(_share(letters, strays, *language) for language in _LANGUAGES)
        if known > most:
            best, most = codec, known
    if best is None and not is_crowded:
        letters, strays = _count(sample.decode(_COMMONEST, "replace"))
        best = _COMMONEST if _share(letters, strays, _WESTERN, "") > most else None
    return best


def _share(letters: Counter[str], strays: int, alphabet: str, typical: str) -> float:
    """Of the characters outside ASCII that count, the share in the alphabet; 0 where too few of it
    are typical."""
    counted = strays + letters.total()
    known = sum(letters[letter] for letter in frozenset(alphabet))
    if typical and sum(letters[letter] for letter in typical) < _MINIMUM_TYPICAL_SHARE * known:
        return 0
    return known / counted if counted else 1


def _count(text: str) -> tuple[Counter[str], int]:
    """How often each letter outside ASCII stands there; and how many characters are where none of
    their kind would be."""
    letters: Counter[str] = Counter()
    strays = 0
    before = " "
    for position, character in enumerate(text):
        if not character.isascii():
            after = text[position + 1 : position + 2]
            if character.isalpha() and not (character.isupper() and before.islower()):
                letters[character.lower()] += 1
            elif not _punctuates(character, before, after):
                strays += 1
        before = character
    return letters, strays


def _punctuates(character: str, before: str, after: str) -> bool:
    within = before.isalpha() and after.isalpha()
    return character in (_WITHIN_WORDS if within else _PUNCTUATION)
