"""CSV through docling's backend, and what is separated by tabs as such."""

import csv
from io import StringIO
from itertools import islice

from docling.backend.csv_backend import CsvDocumentBackend
from docling_core.types.doc.document import DoclingDocument

from activities.read.table_items import add_table

_LINES_LOOKED_AT = 100


class SeparatedValuesBackend(CsvDocumentBackend):
    """docling takes the comma for the separator wherever each line has one as well, and so cuts
    amounts (1,50) and places (Mill, county) in two."""

    def convert(self) -> DoclingDocument:
        text = self.content.getvalue()
        if not _has_tabs(text):
            document: DoclingDocument = super().convert()
            return document
        document = DoclingDocument(name="document")
        add_table(document, _rows(text))
        return document


def _has_tabs(text: str) -> bool:
    """Whether every line has one, of those looked at; blank ones do not count."""
    lines = [line for line in islice(StringIO(text), _LINES_LOOKED_AT) if line.strip()]
    return bool(lines) and all("\t" in line for line in lines)


def _rows(text: str) -> list[list[str]]:
    """Quotation marks bound cells where that makes all rows as long as the first, and are letters
    like others where it does not: programs differ in that."""
    rows = list(csv.reader(StringIO(text), delimiter="\t"))
    if len({len(row) for row in rows if row}) == 1:
        return rows
    return list(csv.reader(StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE))
