"""What the engine `classify` is asked; its answer is a FindingList."""

from pydantic import Field

from muniment.contracts.base import Contract
from muniment.contracts.documents import HiddenText
from muniment.contracts.findings import MOST_RECOGNISERS, CustomRecogniser


class PageText(Contract):
    """A page's text as in the page's artifact: findings count code points of exactly this.
    `hidden` is what nobody sees of it."""

    page: int
    text: str
    hidden: tuple[HiddenText, ...] = ()


class ClassifyRequest(Contract):
    """`seconds` bounds the examination of the whole document; what it leaves out is named in the
    answer, and so is what a single recogniser could not finish in `piece_seconds`. `recognisers` look for
    what the installation wants found besides."""

    pages: tuple[PageText, ...]
    seconds: float = Field(default=60, gt=0)
    piece_seconds: float = Field(default=1, gt=0)
    recognisers: tuple[CustomRecogniser, ...] = Field(default=(), max_length=MOST_RECOGNISERS)
