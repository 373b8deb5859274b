"""A scanned PDF of any length."""

from pathlib import Path

import pypdfium2

from bench.quality.cases import data_folder

_SCANS = "documents/made_scans"
_UPRIGHT = ("clean", "skew", "noise", "blur")


def make_scanned(path: Path, page_count: int) -> None:
    """Pages of the made scans that lie upright, again and again."""
    folder = data_folder() / _SCANS
    sources = [
        source for source in sorted(folder.glob("*.pdf")) if any(k in source.name for k in _UPRIGHT)
    ]
    with pypdfium2.PdfDocument.new() as made:
        while len(made) < page_count:
            with pypdfium2.PdfDocument(sources[len(made) % len(sources)]) as source:
                made.import_pages(source, [0])
        made.save(path)
