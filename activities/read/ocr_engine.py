"""What an OCR engine promises, wherever it runs, and how one is chosen."""

from collections.abc import Callable
from typing import Protocol

from activities.read.page_image import PageImage
from muniment.contracts.base import Contract
from muniment.contracts.documents import Page
from muniment.contracts.ocr import OcrEngineName


class OcrChoice(Contract):
    """`languages` and `data` (the folder of its models; None: where packages put them) are for
    Tesseract alone, `model` (its name at the server) for Surya; RapidOCR's models read the scripts they
    were made for."""

    engine: OcrEngineName = OcrEngineName.RAPIDOCR
    languages: tuple[str, ...] = ("eng",)
    data: str | None = None
    model: str | None = None


class OcrEngine(Protocol):
    """Reads one page after the other; not to be called by two threads at once."""

    name: str
    """What pages say of who read them."""

    def read(self, number: int, image: PageImage) -> Page:
        """The page's lines in reading order, with boxes in points and confidences from 0 to 1."""


class StoppableOcrEngine(OcrEngine, Protocol):
    """One that can give up the page in work."""

    def stop_when(self, is_unwanted: Callable[[], bool]) -> None:
        """From now on `read` raises Unwanted soon after the page in work has become unwanted."""
