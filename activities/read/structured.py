"""Structured formats through docling's backends: a DoclingDocument and its pages as text."""

from collections.abc import Callable
from io import BytesIO

from docling.backend.abstract_backend import DeclarativeDocumentBackend
from docling.backend.mspowerpoint_backend import MsPowerpointDocumentBackend
from docling.datamodel.base_models import InputFormat
from docling.datamodel.document import InputDocument
from docling_core.types.doc.document import DoclingDocument

from activities.inspect import file_type
from activities.inspect.programming_languages import BY_MEDIA_TYPE
from activities.members.walk import ARCHIVES
from activities.read.archive_listing import listing_document
from activities.read.damage import damage
from activities.read.html_depth import refuse_deep_html
from activities.read.json_document import json_document
from activities.read.kreuzberg_formats import (
    book_document,
    message_document,
    workbook_document,
)
from activities.read.legacy_office import presentation, word_document
from activities.read.mail_message import MailMessageBackend
from activities.read.markdown_page import MarkdownPageBackend
from activities.read.open_document import OpenSheetsBackend, OpenTextBackend
from activities.read.open_presentation import OpenPresentationBackend
from activities.read.parquet import parquet_document
from activities.read.plain_text import plain_document
from activities.read.rich_text import rich_text_document
from activities.read.second_reader import READ_TWICE, read_again
from activities.read.separated_values import SeparatedValuesBackend
from activities.read.source_code import code_document
from activities.read.text_encoding import decode_text, encoding_of
from activities.read.web_page import WebPageBackend
from activities.read.word_document import WordDocumentBackend
from activities.read.workbook import WorkbookBackend
from activities.read.xml_document import xml_document
from activities.sandbox.content import Content
from muniment.errors import DamagedDocument, UnknownFormat

Backend = type[DeclarativeDocumentBackend]


def _as_utf8(data: bytes) -> bytes:
    return decode_text(data).encode()


def _as_marked_utf8(data: bytes) -> bytes:
    """HTML may declare its encoding, wrongly; a byte-order mark outweighs the declaration.

    What is neither UTF nor ASCII is left to the parser, which reads the declaration.
    """
    text = decode_text(data)
    refuse_deep_html(text)
    wide_or_utf8 = "�" not in text and (b"\0" in data or _is_utf8(data))
    return b"\xef\xbb\xbf" + text.encode() if wide_or_utf8 else data


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _as_narrow(data: bytes) -> bytes:
    """Messages are bytes of their own several encodings, but never UTF-16 unless a program that
    stored them made them so."""
    wide = (encoding_of(data) or "").startswith(("utf-16", "utf-32"))
    return decode_text(data).encode() if wide else data


def _as_is(data: bytes) -> bytes:
    return data


_BACKENDS: dict[str, tuple[InputFormat, Backend, Callable[[bytes], bytes]]] = {
    file_type.DOCX.media_type: (InputFormat.DOCX, WordDocumentBackend, _as_is),
    file_type.PPTX.media_type: (InputFormat.PPTX, MsPowerpointDocumentBackend, _as_is),
    file_type.XLSX.media_type: (InputFormat.XLSX, WorkbookBackend, _as_is),
    file_type.ODT.media_type: (InputFormat.ODT, OpenTextBackend, _as_is),
    file_type.ODP.media_type: (InputFormat.ODP, OpenPresentationBackend, _as_is),
    file_type.ODS.media_type: (InputFormat.ODS, OpenSheetsBackend, _as_is),
    file_type.HTML.media_type: (InputFormat.HTML, WebPageBackend, _as_marked_utf8),
    file_type.MARKDOWN.media_type: (InputFormat.MD, MarkdownPageBackend, _as_utf8),
    file_type.CSV.media_type: (InputFormat.CSV, SeparatedValuesBackend, _as_utf8),
    file_type.EMAIL.media_type: (InputFormat.EMAIL, MailMessageBackend, _as_narrow),
}
_TEXT_CONVERTERS: dict[str, Callable[[str], DoclingDocument]] = {
    file_type.TEXT.media_type: plain_document,
    file_type.JSON.media_type: json_document,
}
_CONVERTERS: dict[str, Callable[[bytes], DoclingDocument]] = {
    file_type.XML.media_type: xml_document,
    file_type.RTF.media_type: rich_text_document,
}
_LIBRARY_CONVERTERS: dict[str, Callable[[bytes, str], DoclingDocument]] = {
    file_type.DOC.media_type: word_document,
    file_type.PPT.media_type: presentation,
    file_type.XLS.media_type: workbook_document,
    file_type.MSG.media_type: message_document,
    file_type.EPUB.media_type: book_document,
}


def convert(content: Content, media_type: str, password: str | None = None) -> DoclingDocument:
    """The document that the format's library makes; DamagedDocument when it cannot."""
    if media_type == file_type.PARQUET.media_type:
        with damage("The table is damaged beyond reading."):
            return parquet_document(content)
    if media_type in ARCHIVES:
        return listing_document(content, media_type, password)
    data = content.read()
    if media_type in _TEXT_CONVERTERS:
        return _TEXT_CONVERTERS[media_type](decode_text(data))
    if media_type in BY_MEDIA_TYPE:
        return code_document(decode_text(data), BY_MEDIA_TYPE[media_type])
    if media_type in _BACKENDS:
        try:
            return _convert_by_docling(data, media_type)
        except DamagedDocument:
            if media_type not in READ_TWICE:
                raise
    with damage("The document is damaged beyond reading."):
        if media_type in READ_TWICE:
            return read_again(data, media_type)
        if media_type in _CONVERTERS:
            return _CONVERTERS[media_type](data)
        if media_type in _LIBRARY_CONVERTERS:
            return _LIBRARY_CONVERTERS[media_type](data, media_type)
    raise UnknownFormat(f"No engine reads {media_type}.")


def _convert_by_docling(data: bytes, media_type: str) -> DoclingDocument:
    input_format, backend, prepare = _BACKENDS[media_type]
    with damage("The document is damaged beyond reading."):
        source = InputDocument(
            path_or_stream=BytesIO(prepare(data)),
            format=input_format,
            backend=backend,
            filename=f"document.{input_format.value}",
        )
        if not source.valid:
            raise DamagedDocument("The document is damaged beyond reading.")
        made = source._backend
        if not isinstance(made, DeclarativeDocumentBackend) or not made.is_valid():
            raise DamagedDocument("The document is damaged beyond reading.")
        document: DoclingDocument = made.convert()
    return document
