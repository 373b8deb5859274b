"""RapidOCR in a replica."""

from collections.abc import Callable

from activities.read import ocr
from activities.read.page_image import PageImage
from muniment.contracts.documents import Page


class RapidOcrEngine:
    """PP-OCR as the CPU queue runs it, so that the same pages come out of either queue."""

    name = ocr.ENGINE

    def __init__(self, *, on_cuda: bool) -> None:
        if on_cuda:
            ocr.use_cuda()
        ocr.warm_ocr()

    def read(self, number: int, image: PageImage) -> Page:
        return ocr.read_image(number, image)

    def stop_when(self, is_unwanted: Callable[[], bool]) -> None:
        ocr.stop_when(is_unwanted)
