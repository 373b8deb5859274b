"""Small files of several kinds, no two of them alike."""

import io
from collections.abc import Callable
from dataclasses import dataclass

import docx
from PIL import Image, ImageDraw, ImageFont

from activities.read.warming import page_of_lines
from bench.corpus import one_page_text

_LINE_LETTERS = 80
_PICTURE_SIZE = (640, 240)
_LETTER_PIXELS = 28


@dataclass(frozen=True)
class SmallFile:
    """`is_readable` says whether its ingestion should end well."""

    name: str
    content: bytes
    is_readable: bool = True


def small_file(number: int) -> SmallFile:
    """Of twenty in a row nine are texts, four Word documents, five PDFs of a page, one is a picture
    of a text and one is broken."""
    return _KINDS[number % len(_KINDS)](number)


def _text(number: int) -> SmallFile:
    return SmallFile(f"register-{number}.txt", one_page_text(number))


def _word(number: int) -> SmallFile:
    document = docx.Document()
    document.add_heading(f"Register, volume {number}")
    for paragraph in one_page_text(number).decode().split("\n\n"):
        document.add_paragraph(paragraph)
    content = io.BytesIO()
    document.save(content)
    return SmallFile(f"register-{number}.docx", content.getvalue())


def _pdf(number: int) -> SmallFile:
    return SmallFile(f"register-{number}.pdf", page_of_lines(_lines(number)))


def _picture(number: int) -> SmallFile:
    image = Image.new("L", _PICTURE_SIZE, "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(_LETTER_PIXELS)
    for line, text in enumerate(("Register of the", f"muniment room {number}", "volume one")):
        draw.text((_LETTER_PIXELS, _LETTER_PIXELS * (1 + 2 * line)), text, "black", font)
    content = io.BytesIO()
    image.save(content, "PNG")
    return SmallFile(f"picture-{number}.png", content.getvalue())


def _broken(number: int) -> SmallFile:
    """A Word document that was cut off."""
    whole = _word(number)
    return SmallFile(f"broken-{number}.docx", whole.content[:-2000], is_readable=False)


def _lines(number: int) -> list[str]:
    text = " ".join(one_page_text(number).decode().split())
    return [text[start : start + _LINE_LETTERS] for start in range(0, len(text), _LINE_LETTERS)]


_KINDS: tuple[Callable[[int], SmallFile], ...] = (
    *(_text, _pdf, _text, _word, _text, _pdf, _text, _word, _text, _pdf),
    *(_text, _picture, _text, _pdf, _text, _word, _text, _pdf, _broken, _word),
)
