"""The engines a replica may hold."""

from collections.abc import Callable
from typing import Literal

from activities.read import ocr
from activities.read.ocr_engine import OcrEngine
from activities.read.page_image import PageImage
from muniment.contracts.documents import Page

EngineName = Literal["rapidocr", "surya"]


class RapidOcrEngine:
    """PP-OCR, as the CPU queue runs it: the same pages come out."""

    name = ocr.ENGINE

    def __init__(self) -> None:
        ocr.warm_ocr()

    def stop_when(self, is_unwanted: Callable[[], bool]) -> None:
        ocr.stop_when(is_unwanted)

    def read(self, number: int, image: PageImage) -> Page:
        return ocr.read_image(number, image)


def open_engine(name: EngineName) -> OcrEngine:
    """The engine, its models loaded."""
    return RapidOcrEngine()
