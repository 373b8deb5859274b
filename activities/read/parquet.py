"""Apache Parquet as a DoclingDocument: one table of its first rows."""

import duckdb
from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.labels import DocItemLabel

from activities.read.table_items import add_table
from activities.sandbox.content import Content

MAXIMUM_ROWS = 2_000
"""A table is text to be read and found; analysis of millions of rows is another program's work."""
MAXIMUM_COLUMNS = 200
MAXIMUM_CELL_CHARACTERS = 1_000


def parquet_document(content: Content) -> DoclingDocument:
    """The first rows, below a sentence that says how many there are when some are left out."""
    document = DoclingDocument(name="document")
    # One thread each: DuckDB would else start as many as the machine has cores.
    with duckdb.connect(config={"threads": 1, "autoinstall_known_extensions": False}) as database:
        table = database.read_parquet(content.path)
        total = int(table.count("*").fetchall()[0][0])
        columns = table.columns
        first = table.limit(MAXIMUM_ROWS).fetchall()
    names = columns[:MAXIMUM_COLUMNS]
    if total > len(first) or len(names) < len(columns):
        left = f"{len(first):,} of {total:,} rows and {len(names)} of {len(columns)} columns"
        document.add_text(label=DocItemLabel.TEXT, text=f"The first {left}.")
    rows = [[_cell(value) for value in record[:MAXIMUM_COLUMNS]] for record in first]
    add_table(document, [names, *rows])
    return document


def _cell(value: object) -> str:
    return "" if value is None else str(value)[:MAXIMUM_CELL_CHARACTERS]
