"""How a collection's text is kept in the database, and what is sealed of it there."""

from enum import StrEnum

from muniment.contracts.base import Contract


class TextMode(StrEnum):
    """`encrypted_text`: no words of a document lie in the database, in no index either; vectors do."""

    FULL = "full"
    ENCRYPTED_TEXT = "encrypted_text"


class PassageText(Contract):
    """What a chunk says."""

    text: str
    headings: tuple[str, ...] = ()


class QuotedWords(Contract):
    """Words of a page that an annotation was made on, or was found at, with what stands around them."""

    quote: str
    prefix: str = ""
    suffix: str = ""
