"""What an OCR engine promises, wherever it runs."""

from collections.abc import Callable
from typing import Protocol

from activities.read.page_image import PageImage
from muniment.contracts.documents import Page


class OcrEngine(Protocol):
    """Reads one page after the other; not to be called by two threads at once."""

    name: str
    """What pages say of who read them."""

    def read(self, number: int, image: PageImage) -> Page:
        """The page's lines in reading order, with boxes in points and confidences from 0 to 1."""

    def stop_when(self, is_unwanted: Callable[[], bool]) -> None:
        """From now on `read` raises Unwanted soon after the page in work has become unwanted."""
