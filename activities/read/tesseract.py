"""Lines of a page's image by Tesseract, within the process: its library, not its program."""

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

from PIL import Image

from activities.read.geometry import Box
from activities.read.ocr_engine import OcrChoice
from activities.read.page_image import POINTS_PER_INCH, PageImage
from muniment.contracts.documents import Line, Page, PageSource
from muniment.contracts.ocr import OcrEngineName
from muniment.errors import ConfigurationError

if TYPE_CHECKING:
    from tesserocr import PyTessBaseAPI

DATA_FOLDERS = (
    "/usr/share/tesseract-ocr/5/tessdata",
    "/usr/share/tesseract-ocr/4.00/tessdata",
    "/usr/share/tessdata",
    "/usr/local/share/tessdata",
    "/opt/homebrew/share/tessdata",
)
"""Where distributions put the models."""
_ORIENTATION = "osd"
_MODEL = ".traineddata"


class Tesseract:
    """Turns pages that lie on their side when the data has the model `osd`."""

    name = OcrEngineName.TESSERACT.value

    def __init__(self, api: "PyTessBaseAPI") -> None:
        self._api = api

    def read(self, number: int, image: PageImage) -> Page:
        """As OcrEngine.read."""
        self._api.SetImage(Image.fromarray(image.pixels[:, :, ::-1]))
        self._api.SetSourceResolution(max(70, round(image.scale * POINTS_PER_INCH)))
        self._api.Recognize()
        lines = tuple(self._lines(image))
        self._api.Clear()
        scores = [line.confidence for line in lines if line.confidence is not None]
        return Page(
            page=number,
            width=round(image.width, 2),
            height=round(image.height, 2),
            rotation=image.rotation,
            source=PageSource.OCR,
            engine=self.name,
            confidence=round(mean(scores), 4) if scores else None,
            text="\n".join(line.text for line in lines),
            lines=lines,
        )

    def _lines(self, image: PageImage) -> Iterator[Line]:
        from tesserocr import RIL, iterate_level

        found = self._api.GetIterator()
        if found is None:
            return
        for line in iterate_level(found, RIL.TEXTLINE):
            if line.Empty(RIL.TEXTLINE):
                continue
            text = line.GetUTF8Text(RIL.TEXTLINE).strip()
            corners = line.BoundingBox(RIL.TEXTLINE)
            if not text or corners is None:
                continue
            box = Box(*(side / image.scale for side in corners))
            yield Line(
                text=text,
                bbox=box.clipped(image.width, image.height),
                confidence=round(line.Confidence(RIL.TEXTLINE) / 100, 4),
            )


def open_tesseract(choice: OcrChoice) -> Tesseract:
    """ConfigurationError where the library, its data or a language is absent."""
    if find_spec("tesserocr") is None:
        raise ConfigurationError(
            "Tesseract was chosen and its library is not installed.",
            remedy="Install muniment[tesseract], or choose another OCR engine.",
        )
    from tesserocr import PSM, PyTessBaseAPI

    folder = _data_folder(choice)
    _require(folder, choice.languages)
    turns = (folder / f"{_ORIENTATION}{_MODEL}").is_file()
    mode = PSM.AUTO_OSD if turns else PSM.AUTO
    return Tesseract(PyTessBaseAPI(path=str(folder), lang="+".join(choice.languages), psm=mode))


def _data_folder(choice: OcrChoice) -> Path:
    for folder in [choice.data] if choice.data else DATA_FOLDERS:
        if Path(folder).is_dir():
            return Path(folder)
    raise ConfigurationError(
        "Tesseract was chosen and its models are not found.",
        remedy="Install a tesseract-ocr language package, or name the folder of its models.",
    )


def _require(folder: Path, languages: Sequence[str]) -> None:
    for language in languages:
        if not (folder / f"{language}{_MODEL}").is_file():
            raise ConfigurationError(
                f"Tesseract has no model of the language {language!r} here.",
                remedy=f"Install tesseract-ocr-{language}, or choose another language.",
            )
