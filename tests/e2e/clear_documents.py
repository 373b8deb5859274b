"""Documents of several kinds with words that stand nowhere else."""

import zipfile
from pathlib import Path

import docx

from tests.workflows.documents import scanned_pdf

WORDS = ("quillfeather", "marrowbrook", "thistledown", "copperwhistle")
"""Long enough that their spellings occur nowhere by chance."""

PIECE_BYTES = 48


def documents(folder: Path) -> list[Path]:
    """A text, a page of the web, a document of Word, a message, and a long scan to be killed over."""
    sentences = [f"The {word} of the valley was weighed and written down." for word in WORDS]
    text = folder / "ledger.txt"
    text.write_text("\n".join(sentences * 400), encoding="utf-8")
    page = folder / "ledger.html"
    page.write_text(
        "<!doctype html><title>Ledger</title>" + "".join(f"<p>{each}</p>" for each in sentences),
        encoding="utf-8",
    )
    written = docx.Document()
    for sentence in sentences:
        written.add_paragraph(sentence)
    word = folder / "ledger.docx"
    written.save(str(word))
    message = folder / "ledger.eml"
    message.write_text(
        "From: a@example.org\nTo: b@example.org\nSubject: Accounts\n"
        "Content-Type: text/plain; charset=utf-8\n\n" + "\n".join(sentences),
        encoding="utf-8",
    )
    scan = folder / "scan.pdf"
    lines = "\n".join(f"Line {line} of the {WORDS[0]} of {WORDS[1]}" for line in range(26))
    scan.write_bytes(scanned_pdf([lines] * 8, width=827, height=1169))
    return [scan, text, page, word, message]


def piece(document: Path) -> bytes:
    """Some of the file's own bytes, which no other file has."""
    content = document.read_bytes()
    begin = len(content) * 5 // 8
    if document.suffix == ".pdf":
        # What begins a JPEG is the same in many: its picture comes after the mark of its scan.
        begin = content.index(b"\xff\xda") + 1_024
    if document.suffix == ".docx":
        # All but its text comes with the library that wrote it.
        with zipfile.ZipFile(document) as package:
            text = package.getinfo("word/document.xml")
        begin = text.header_offset + text.compress_size // 2
    return content[begin : begin + PIECE_BYTES]
