"""What kinds of file there are, how they are called, and which of them are read."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath

from activities.inspect.programming_languages import LANGUAGES
from muniment.contracts.documents import DocumentFamily


class Nature(StrEnum):
    """What a claim about a type can be checked against."""

    TEXT = "text"
    IMAGE = "image"
    PDF = "pdf"
    OPEN_PACKAGE = "open_package"
    OLD_OFFICE = "old_office"
    ARCHIVE = "archive"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class FileType:
    """A type of file; `family` is None where no engine reads it."""

    media_type: str
    title: str
    nature: Nature
    family: DocumentFamily | None = None


def _office(kind: str, title: str, family: DocumentFamily) -> FileType:
    media_type = f"application/vnd.openxmlformats-officedocument.{kind}"
    return FileType(media_type, title, Nature.OPEN_PACKAGE, family)


def _open_document(kind: str, title: str, family: DocumentFamily) -> FileType:
    media_type = f"application/vnd.oasis.opendocument.{kind}"
    return FileType(media_type, title, Nature.OPEN_PACKAGE, family)


def _image(kind: str) -> FileType:
    return FileType(f"image/{kind}", f"{kind.upper()} image", Nature.IMAGE, DocumentFamily.IMAGE)


def _text(media_type: str, title: str, family: DocumentFamily = DocumentFamily.TEXT) -> FileType:
    return FileType(media_type, title, Nature.TEXT, family)


def _old(media_type: str, title: str, family: DocumentFamily | None) -> FileType:
    return FileType(media_type, title, Nature.OLD_OFFICE, family)


def _unread(media_type: str, title: str) -> FileType:
    return FileType(media_type, title, Nature.OTHER)


PDF = FileType("application/pdf", "PDF", Nature.PDF, DocumentFamily.PDF)
DOCX = _office("wordprocessingml.document", "Word document", DocumentFamily.WORD)
PPTX = _office("presentationml.presentation", "PowerPoint file", DocumentFamily.PRESENTATION)
XLSX = _office("spreadsheetml.sheet", "Excel workbook", DocumentFamily.SPREADSHEET)
ODT = _open_document("text", "OpenDocument text", DocumentFamily.WORD)
ODP = _open_document("presentation", "OpenDocument presentation", DocumentFamily.PRESENTATION)
ODS = _open_document("spreadsheet", "OpenDocument spreadsheet", DocumentFamily.SPREADSHEET)
PNG, JPEG, TIFF, WEBP, BMP, GIF = (
    _image(kind) for kind in ("png", "jpeg", "tiff", "webp", "bmp", "gif")
)
TEXT = _text("text/plain", "plain text")
HTML = _text("text/html", "HTML page", DocumentFamily.HTML)
MARKDOWN = _text("text/markdown", "Markdown file", DocumentFamily.MARKDOWN)
CSV = _text("text/csv", "CSV table", DocumentFamily.SPREADSHEET)
EMAIL = _text("message/rfc822", "e-mail message")
JSON = _text("application/json", "JSON file")
XML = _text("application/xml", "XML file")
ZIP = FileType("application/zip", "ZIP archive", Nature.ARCHIVE, DocumentFamily.TEXT)
TAR = FileType("application/x-tar", "TAR archive", Nature.ARCHIVE, DocumentFamily.TEXT)
OTHER_PACKAGE = _unread("application/x-package", "package of files in a format of its own")
EPUB = FileType("application/epub+zip", "EPUB book", Nature.OPEN_PACKAGE, DocumentFamily.HTML)
RTF = _old("application/rtf", "RTF document", DocumentFamily.WORD)
OLE = _old("application/x-ole-storage", "document of an old office format", None)
WORD_95 = _old("application/x-msword6", "document of Word 6 or 95", None)
DOC = _old("application/msword", "document of Word 97–2003", DocumentFamily.WORD)
XLS = _old("application/vnd.ms-excel", "workbook of Excel 97–2003", DocumentFamily.SPREADSHEET)
PPT = _old(
    "application/vnd.ms-powerpoint",
    "presentation of PowerPoint 97–2003",
    DocumentFamily.PRESENTATION,
)
MSG = _old("application/vnd.ms-outlook", "Outlook message", DocumentFamily.TEXT)
PARQUET = FileType(
    "application/vnd.apache.parquet", "Parquet table", Nature.OTHER, DocumentFamily.SPREADSHEET
)
SOURCE_CODE: dict[str, FileType] = {
    language.label: _text(language.media_type, f"{language.title} source code")
    for language in LANGUAGES
}
"""By Magika's label."""

_BY_EXTENSION: dict[str, FileType] = {
    **dict.fromkeys(("pdf",), PDF),
    **dict.fromkeys(("docx", "docm", "dotx", "dotm"), DOCX),
    **dict.fromkeys(("pptx", "pptm", "ppsx", "ppsm", "potx", "potm"), PPTX),
    **dict.fromkeys(("xlsx", "xlsm", "xltx", "xltm"), XLSX),
    **dict.fromkeys(("odt", "ott"), ODT),
    **dict.fromkeys(("odp", "otp"), ODP),
    **dict.fromkeys(("ods", "ots"), ODS),
    **dict.fromkeys(("jpg", "jpeg", "jpe", "jfif"), JPEG),
    **dict.fromkeys(("tif", "tiff"), TIFF),
    **dict.fromkeys(("htm", "html", "xhtml"), HTML),
    **dict.fromkeys(("md", "markdown", "mkd"), MARKDOWN),
    **dict.fromkeys(("csv", "tsv"), CSV),
    **dict.fromkeys(("txt", "text", "log"), TEXT),
    "png": PNG,
    "webp": WEBP,
    "bmp": BMP,
    "gif": GIF,
    "eml": EMAIL,
    **dict.fromkeys(("json", "jsonl", "ndjson", "geojson", "ipynb"), JSON),
    **dict.fromkeys(("xml", "nxml"), XML),
    "zip": ZIP,
    **dict.fromkeys(("tar", "tgz", "tbz", "tbz2", "txz"), TAR),
    "epub": EPUB,
    "rtf": RTF,
    **dict.fromkeys(("doc", "dot"), DOC),
    **dict.fromkeys(("xls", "xlt"), XLS),
    **dict.fromkeys(("ppt", "pps", "pot"), PPT),
    "msg": MSG,
    "parquet": PARQUET,
    **{
        extension: SOURCE_CODE[language.label]
        for language in LANGUAGES
        for extension in language.extensions
    },
}

_BY_MEDIA_TYPE: dict[str, FileType] = {
    **{kind.media_type: kind for kind in _BY_EXTENSION.values()},
    "text/xml": XML,
    **dict.fromkeys(
        (
            "application/jsonl",
            "application/x-ndjson",
            "application/geo+json",
            "application/x-ipynb+json",
        ),
        JSON,
    ),
    "application/xhtml+xml": HTML,
    "image/jpg": JPEG,
    "text/x-markdown": MARKDOWN,
    "text/rtf": RTF,
}


def by_name(name: str) -> FileType | None:
    """The type that the name's extension claims."""
    return _BY_EXTENSION.get(PurePosixPath(name).suffix.lower().removeprefix("."))


def by_media_type(media_type: str) -> FileType | None:
    """The type that a media type claims; parameters such as the charset are ignored."""
    return _BY_MEDIA_TYPE.get(media_type.partition(";")[0].strip().lower())
