"""What an OCR engine promises, wherever it runs, and how one is chosen."""

from collections.abc import Callable, Sequence
from statistics import mean
from typing import Protocol

from activities.read.page_image import PageImage
from muniment.contracts.base import Contract
from muniment.contracts.documents import Line, Page, PageSource
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


def page_of_lines(number: int, image: PageImage, engine: str, lines: Sequence[Line]) -> Page:
    """The page that an engine read those lines on, which are in reading order."""
    scores = [line.confidence for line in lines if line.confidence is not None]
    return Page(
        page=number,
        width=round(image.width, 2),
        height=round(image.height, 2),
        rotation=image.rotation,
        source=PageSource.OCR,
        engine=engine,
        confidence=round(mean(scores), 4) if scores else None,
        text="\n".join(line.text for line in lines),
        lines=tuple(lines),
    )
