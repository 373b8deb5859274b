"""Lines of a page's image by Tesseract, within the process: its library, not its program."""

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from activities.read.geometry import Box
from activities.read.ocr_engine import OcrChoice, page_of_lines
from activities.read.page_image import POINTS_PER_INCH, PageImage
from activities.read.skew import Straightened, straightened
from muniment.contracts.documents import BoundingBox, Line, Page
from muniment.contracts.ocr import OcrEngineName
from muniment.contracts.word_boxes import pack_boxes
from muniment.errors import ConfigurationError

if TYPE_CHECKING:
    from tesserocr import PyResultIterator, PyTessBaseAPI

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
        """As OcrEngine.read. The library loses most of a page that lies 3° askew, and all of one
        that lies 10°: it is turned straight first."""
        straight = straightened(image)
        self._api.SetImage(Image.fromarray(straight.image.pixels[:, :, ::-1]))
        self._api.SetSourceResolution(max(70, round(image.scale * POINTS_PER_INCH)))
        self._api.Recognize()
        lines = tuple(self._lines(straight))
        self._api.Clear()
        return page_of_lines(number, image, self.name, lines)

    def _lines(self, straight: Straightened) -> Iterator[Line]:
        from tesserocr import RIL, iterate_level

        found = self._api.GetIterator()
        if found is None:
            return
        line: Line | None = None
        words: list[BoundingBox] = []
        for word in iterate_level(found, RIL.WORD):
            if word.IsAtBeginningOf(RIL.TEXTLINE):
                if line is not None:
                    yield _with_words(line, words)
                line, words = _line(word, straight), []
            place = _place(word, RIL.WORD, straight)
            if place is not None:
                words.append(place)
        if line is not None:
            yield _with_words(line, words)


def _line(found: "PyResultIterator", straight: Straightened) -> Line | None:
    """The line that the word found stands in; None when nothing of it can be read."""
    from tesserocr import RIL

    if found.Empty(RIL.TEXTLINE):
        return None
    text = found.GetUTF8Text(RIL.TEXTLINE).strip()
    bbox = _place(found, RIL.TEXTLINE, straight)
    if not text or bbox is None:
        return None
    confidence = round(found.Confidence(RIL.TEXTLINE) / 100, 4)
    return Line(text=text, bbox=bbox, confidence=confidence)


def _place(found: "PyResultIterator", level: int, straight: Straightened) -> BoundingBox | None:
    corners = found.BoundingBox(level)
    if corners is None:
        return None
    box = Box(*(side / straight.image.scale for side in corners))
    return straight.back(box).clipped(straight.width, straight.height)


def _with_words(line: Line, words: Sequence[BoundingBox]) -> Line:
    """The box around a line that slopes holds much of its neighbours: those of its words do not."""
    if line.bbox is None or len(words) != len(line.text.split()):
        return line
    return line.model_copy(update={"word_boxes": pack_boxes(words, line.bbox)})


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
