"""The OCR engines of this process, each made when it is first asked for."""

from functools import cache
from importlib.util import find_spec

from activities.read.ocr import RapidOcr
from activities.read.ocr_engine import OcrChoice, OcrEngine
from activities.read.tesseract import open_tesseract
from activities.sandbox.registry import warm
from muniment.contracts.ocr import OcrEngineName
from muniment.errors import ConfigurationError


@cache
def ocr_engine(choice: OcrChoice) -> OcrEngine:
    """ConfigurationError when what the engine needs is not installed."""
    if choice.engine is OcrEngineName.TESSERACT:
        return open_tesseract(choice)
    if choice.engine is OcrEngineName.SURYA:
        raise ConfigurationError("Surya is a server: no engine of the sandbox asks one.")
    if choice.engine is OcrEngineName.RAPIDOCR_OPENVINO and find_spec("openvino") is None:
        raise ConfigurationError(
            "OpenVINO was chosen and is not installed.",
            remedy="Install muniment[openvino], or choose the OCR engine rapidocr.",
        )
    return RapidOcr(choice.engine)


@warm
def warm_ocr() -> None:
    """Every child then finds the models of the default engine loaded.

    Those of the others are loaded by the child: OpenVINO starts threads as soon as it is imported,
    and a process with threads cannot fork.
    """
    engine = ocr_engine(OcrChoice())
    if isinstance(engine, RapidOcr):
        engine.load()
