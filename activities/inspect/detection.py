"""Finds the true type of a content. What name and sender say only chooses among kinds of text."""

from functools import cache

import olefile
from magika import Magika
from onnxruntime import InferenceSession, SessionOptions

from activities.inspect import file_type
from activities.inspect.archive import UNREADABLE, open_package
from activities.inspect.file_type import FileType, Nature
from activities.members.tar_archive import is_tar, looks_like_tar
from activities.read.text_encoding import looks_like_text
from activities.sandbox.content import Content
from activities.sandbox.registry import warm
from muniment.errors import (
    DamagedDocument,
    DocumentError,
    EncryptedDocument,
    UnknownFormat,
    WrongType,
)

_HEAD_BYTES = 64 * 1024
_OLE_SIGNATURE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_PDF_SIGNATURE = b"%PDF-"
_PDF_SIGNATURE_WITHIN = 1024
"""PDF 1.7, implementation note 13: readers accept the header anywhere in the first 1,024 bytes."""

_SIGNATURES: tuple[tuple[bytes, FileType], ...] = (
    (_PDF_SIGNATURE, file_type.PDF),
    (b"\x89PNG\r\n\x1a\n", file_type.PNG),
    (b"\xff\xd8\xff", file_type.JPEG),
    (b"GIF87a", file_type.GIF),
    (b"GIF89a", file_type.GIF),
    (b"II*\x00", file_type.TIFF),
    (b"MM\x00*", file_type.TIFF),
    (b"II+\x00", file_type.TIFF),
    (b"MM\x00+", file_type.TIFF),
    (b"{\\rtf", file_type.RTF),
    (b"PAR1", file_type.PARQUET),
)

_PACKAGE_PARTS: tuple[tuple[str, FileType], ...] = (
    ("word/", file_type.DOCX),
    ("ppt/", file_type.PPTX),
    ("xl/", file_type.XLSX),
)

_OLE_STREAMS: tuple[tuple[str, FileType], ...] = (
    ("workbook", file_type.XLS),
    ("book", file_type.XLS),
    ("powerpoint document", file_type.PPT),
    ("__properties_version1.0", file_type.MSG),
)
_WORD_97_MAGIC = b"\xec\xa5"
"""How the stream WordDocument begins from Word 97 on (MS-DOC 2.5.1, FibBase.wIdent)."""

_MAGIKA_TEXT: dict[str, FileType] = {
    "html": file_type.HTML,
    "markdown": file_type.MARKDOWN,
    "csv": file_type.CSV,
    "tsv": file_type.CSV,
    "eml": file_type.EMAIL,
    **dict.fromkeys(("json", "jsonl", "ipynb"), file_type.JSON),
    "xml": file_type.XML,
}
_CONFIDENT = 0.8


class _SingleThreadedMagika(Magika):
    """Magika gives no way to say how many threads its session starts; a template may have none."""

    def _init_onnx_session(self) -> InferenceSession:
        options = SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        return InferenceSession(
            self._model_path, sess_options=options, providers=["CPUExecutionProvider"]
        )


@cache
def _magika() -> Magika:
    return _SingleThreadedMagika()


@warm
def _warm_magika() -> None:
    _magika().identify_bytes(b"plain text, long enough to be looked at by the model\n" * 8)


def detect(content: Content, *, name: str, declared_media_type: str) -> FileType:
    """The true type, one that an engine reads.

    Raises WrongType when the content is of a known type other than claimed, DamagedDocument when it
    is a broken file of the claimed type, UnknownFormat when nothing here reads it.
    """
    claimed = file_type.by_name(name) or file_type.by_media_type(declared_media_type)
    actual = _actual(content, claimed)
    if claimed is not None and not _compatible(claimed, actual):
        raise WrongType(f"The file is announced as a {claimed.title} but is a {actual.title}.")
    if actual.family is None:
        raise _unreadable(actual)
    return actual


def _actual(content: Content, claimed: FileType | None) -> FileType:
    head = content.head(_HEAD_BYTES)
    for signature, kind in _SIGNATURES:
        if head.startswith(signature):
            return kind
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return file_type.WEBP
    if head.startswith(b"BM") and not looks_like_text(head):
        return file_type.BMP
    if head.startswith(b"PK"):
        return _package(content, claimed)
    if head.startswith(_OLE_SIGNATURE):
        return _compound(content)
    if _PDF_SIGNATURE in head[:_PDF_SIGNATURE_WITHIN] and claimed in (None, file_type.PDF):
        return file_type.PDF
    if looks_like_tar(head) and is_tar(content):
        return file_type.TAR
    if looks_like_text(head):
        return _kind_of_text(content, claimed)
    raise _not_recognised(content, claimed)


def _package(content: Content, claimed: FileType | None) -> FileType:
    try:
        with content.open() as file, open_package(file, may_be_encrypted=True) as package:
            names = package.namelist()
            media_type = (
                package.read("mimetype")[:200].decode("ascii", "replace").strip()
                if ("mimetype" in names)
                else ""
            )
    except (*UNREADABLE, DamagedDocument):
        if claimed is None or claimed.nature is not Nature.OPEN_PACKAGE:
            claimed = file_type.ZIP
        raise DamagedDocument(f"The {claimed.title} is cut short or damaged.") from None
    if media_type:
        return file_type.by_media_type(media_type) or file_type.OTHER_PACKAGE
    if "[Content_Types].xml" in names:
        for prefix, kind in _PACKAGE_PARTS:
            if any(name.startswith(prefix) for name in names):
                return kind
        return file_type.OTHER_PACKAGE
    if any(name.startswith("Index/") and name.endswith(".iwa") for name in names):
        return file_type.OTHER_PACKAGE  # Apple's
    return file_type.ZIP


def _compound(content: Content) -> FileType:
    """Old office formats, and the envelope of encrypted new ones (MS-OFFCRYPTO, EncryptedPackage)."""
    try:
        with content.open() as file, olefile.OleFileIO(file) as compound:
            # Names in a compound file are case-insensitive (MS-CFB 2.6.4).
            streams = {"/".join(path).lower() for path in compound.listdir()}
            if "worddocument" in streams:
                magic = compound.openstream("WordDocument").read(len(_WORD_97_MAGIC))
                return file_type.DOC if magic == _WORD_97_MAGIC else file_type.WORD_95
    except (OSError, ValueError, IndexError, KeyError, RecursionError) as error:
        raise DamagedDocument("The office document is cut short or damaged.") from error
    if "encryptedpackage" in streams:
        raise EncryptedDocument(
            "The office document is encrypted in a way that cannot be read.",
            remedy="Open it in its program, remove the password and upload it again.",
        )
    for stream, kind in _OLE_STREAMS:
        if stream in streams:
            return kind
    return file_type.OLE


def _kind_of_text(content: Content, claimed: FileType | None) -> FileType:
    if claimed is not None and claimed.nature is Nature.TEXT:
        return claimed
    result = _magika().identify_bytes(content.head(_HEAD_BYTES))
    label = str(result.output.label)
    if label in file_type.SOURCE_CODE and result.score >= _CONFIDENT:
        return file_type.SOURCE_CODE[label]
    return _MAGIKA_TEXT.get(label, file_type.TEXT)


def _not_recognised(content: Content, claimed: FileType | None) -> DocumentError:
    result = _magika().identify_bytes(content.read())
    title = str(result.output.description)
    confident = result.score >= _CONFIDENT and str(result.output.label) != "unknown"
    if claimed is None or claimed.family is None:
        return UnknownFormat(
            f"The content looks like {title}, which no engine reads."
            if confident
            else "The content is of no known format."
        )
    if confident and str(result.output.mime_type) == claimed.media_type:
        return DamagedDocument(f"The {claimed.title} is damaged beyond reading.")
    if confident:
        return WrongType(f"The file is announced as a {claimed.title} but looks like {title}.")
    return WrongType(f"The file is announced as a {claimed.title} but its content is not one.")


def _compatible(claimed: FileType, actual: FileType) -> bool:
    """Images pass for one another, and so do packages of one family: programs mix up their names,
    and nothing hides behind that. A format that nothing reads contradicts no claim by itself."""
    if claimed.nature is Nature.OTHER:
        return claimed == actual or actual.nature in (Nature.OTHER, Nature.TEXT)
    if claimed.nature is Nature.OLD_OFFICE:
        # Programs write tables as HTML or CSV under `.xls`, and RTF under `.doc`.
        return actual.nature is Nature.TEXT or actual.family in (claimed.family, None)
    if actual.nature is Nature.OLD_OFFICE:
        return claimed.nature is Nature.OPEN_PACKAGE and actual.family in (claimed.family, None)
    if claimed.nature is Nature.OPEN_PACKAGE:
        return claimed == actual
    return claimed.nature is actual.nature


def _unreadable(actual: FileType) -> UnknownFormat:
    if actual.nature is Nature.OLD_OFFICE:
        return UnknownFormat(
            f"The file is a {actual.title}, which no engine here reads.",
            remedy="Save it in the present office format (docx, xlsx, pptx) or as PDF.",
        )
    return UnknownFormat(f"The file is a {actual.title}, which no engine here reads.")
