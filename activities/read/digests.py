"""The engine `digest_pages`: what tells whether a page of a PDF is the same in another PDF.

A page is copied alone into an empty document by pdfium, with all that it refers to and what it
inherits, and that document is hashed: numbers of objects then go by the page, not by the file that
it came from. Only what pdfium itself writes anew each time is left out. A form's field is not copied
where it is the parent of what stands on the page: the values that are read there are hashed too.
"""

import hashlib
import io
import re

import pypdfium2

from activities.read.annotations import annotations_of, open_form
from activities.read.calls import DigestRequest, PageDigests
from activities.read.pdf_file import open_pdf
from activities.read.text_layer import printed_label
from activities.sandbox.registry import EngineContext, engine
from muniment.errors import DamagedDocument

_WRITTEN_AT = re.compile(rb"/CreationDate\(D:[^)]{0,40}\)/Creator\(PDFium\)")
_FILE_ID = re.compile(rb"/ID\[<[0-9A-F]{32}><[0-9A-F]{32}>\]")


@engine("digest_pages")
def digest_pages(request: DigestRequest, context: EngineContext) -> PageDigests:
    """SHA-256 (hex) of every page in order, empty where a page cannot be copied; and its label."""
    with context.content.open() as file, open_pdf(file, request.password) as document:
        pages = range(len(document))
        copies = [_digest_of_copy(document, index) for index in pages]
        # Only now: an opened form may change what is copied.
        open_form(document)
        return PageDigests(
            digests=tuple(_with_values(document, index, copies[index]) for index in pages),
            labels=tuple(printed_label(document, index + 1) for index in pages),
        )


def _digest_of_copy(document: pypdfium2.PdfDocument, index: int) -> str:
    alone = pypdfium2.PdfDocument.new()
    try:
        alone.import_pages(document, [index])
        written = io.BytesIO()
        alone.save(written)
    except (pypdfium2.PdfiumError, DamagedDocument):
        return ""
    finally:
        alone.close()
    content = _WRITTEN_AT.sub(b"", written.getvalue(), count=1)
    # The file's id stands in the trailer, which is the end.
    head, tail = content[:-512], content[-512:]
    return hashlib.sha256(head + _FILE_ID.sub(b"", tail)).hexdigest()


def _with_values(document: pypdfium2.PdfDocument, index: int, copied: str) -> str:
    if not copied:
        return ""
    try:
        annotations = annotations_of(document, index + 1)
    except pypdfium2.PdfiumError:
        return ""
    found = hashlib.sha256(copied.encode())
    for read in (*annotations.lines, *annotations.hidden):
        found.update(read.model_dump_json().encode() + b"\n")
    return found.hexdigest()
