"""Office documents that docling's backends stumble over, through kreuzberg; what nobody sees of them
is taken out before, for kreuzberg gives it like all other text."""

import re
from collections.abc import Callable

from docling_core.types.doc.document import DoclingDocument

from activities.inspect import file_type
from activities.read.kreuzberg_formats import book_document, slides_document, workbook_document
from activities.read.office_package import OfficePackage, UnseenText
from activities.read.unseen_in_documents import add_unseen
from activities.read.unseen_in_open_sheets import take_out_of_open_sheets_package
from activities.read.unseen_in_open_text import take_out_of_open_text_package
from activities.read.unseen_in_slides import slide_numbers, take_out_of_presentation_package
from activities.read.unseen_in_word import take_out_of_word_package
from activities.read.unseen_in_workbook import take_out_of_workbook_package
from muniment.errors import DamagedDocument

_TakeOut = Callable[[OfficePackage], list[UnseenText]]
_Convert = Callable[[OfficePackage, str], DoclingDocument]
_NUMBER = re.compile(r"(\d+)\.xml$")


def _text(package: OfficePackage, media_type: str) -> DoclingDocument:
    return book_document(package.to_bytes(), media_type)


def _sheets(package: OfficePackage, media_type: str) -> DoclingDocument:
    return workbook_document(package.to_bytes(), media_type)


def _slides(package: OfficePackage, media_type: str) -> DoclingDocument:
    """kreuzberg reads slides in the order of the numbers in their parts' names."""
    numbers = slide_numbers(package)
    found = {part: _NUMBER.search(part) for part in numbers}
    in_order = sorted((int(match[1]), part) for part, match in found.items() if match is not None)
    return slides_document(package.to_bytes(), media_type, [numbers[part] for _, part in in_order])


_READERS: dict[str, tuple[_TakeOut, _Convert]] = {
    file_type.DOCX.media_type: (take_out_of_word_package, _text),
    file_type.ODT.media_type: (take_out_of_open_text_package, _text),
    file_type.PPTX.media_type: (take_out_of_presentation_package, _slides),
    file_type.XLSX.media_type: (take_out_of_workbook_package, _sheets),
    file_type.ODS.media_type: (take_out_of_open_sheets_package, _sheets),
}
READ_TWICE = frozenset(_READERS)
_MAIN = frozenset(("word/document.xml", "ppt/presentation.xml", "xl/workbook.xml"))
"""What kreuzberg reads, whichever part the package names as its document."""


def read_again(data: bytes, media_type: str) -> DoclingDocument:
    """The document without what nobody sees, which is added as such. Whatever the parts' XML is
    like, kreuzberg gets no more of it than was looked at."""
    take_out, convert = _READERS[media_type]
    package = OfficePackage(data)
    named = set(package.targets("", "officeDocument").values())
    if named - _MAIN and _MAIN.intersection(package.names):
        raise DamagedDocument("The package names another part as its document.")
    unseen = take_out(package)
    try:
        document = convert(package, media_type)
    except DamagedDocument:
        if not unseen:
            raise
        document = DoclingDocument(name="document")  # nothing else was in it
    for text in unseen:
        add_unseen(document, [text.text], page=text.page)
    return document
