"""Opens a PDF with pdfium and says in our words why it cannot be opened."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import pypdfium2
import pypdfium2.raw as pdfium

from muniment.errors import DamagedDocument, EncryptedDocument, NoPages


@contextmanager
def open_pdf(file: BinaryIO, password: str | None) -> Iterator[pypdfium2.PdfDocument]:
    """The document, closed at the end; the DocumentError that says why when it won't open."""
    try:
        document = pypdfium2.PdfDocument(file, password=password)
    except pypdfium2.PdfiumError as error:
        if error.err_code == pdfium.FPDF_ERR_PASSWORD:
            raise EncryptedDocument(
                "The PDF is encrypted and needs a password."
                if password is None
                else "The password does not open the PDF."
            ) from None
        if error.err_code == pdfium.FPDF_ERR_SECURITY:
            raise EncryptedDocument("The PDF is encrypted in a way that cannot be read.") from None
        if error.err_code == pdfium.FPDF_ERR_SUCCESS:
            # It found nothing wrong but no page either.
            raise NoPages("The PDF has no pages.") from None
        raise DamagedDocument("The PDF is damaged beyond reading.") from None
    try:
        yield document
    finally:
        document.close()


def needs_password(file: BinaryIO) -> bool:
    """Whether the PDF does not open without one; a DocumentError when it won't open anyway."""
    try:
        with open_pdf(file, None):
            return False
    except EncryptedDocument:
        return True
