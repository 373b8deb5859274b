"""The OCR engines, as settings, jobs and clients name them."""

from enum import StrEnum
from typing import Literal


class OcrEngineName(StrEnum):
    """`RAPIDOCR_OPENVINO` runs the models of `RAPIDOCR` on another runtime; `SURYA` is a server, which
    workers of the GPU queue alone ask."""

    RAPIDOCR = "rapidocr"
    RAPIDOCR_OPENVINO = "rapidocr-openvino"
    TESSERACT = "tesseract"
    SURYA = "surya"


CandidateEngineName = Literal["rapidocr", "rapidocr-openvino", "tesseract"]
"""Those that a comparison can try. Surya reads on the GPU queue, which is left to real work."""
