"""Turns what a parser raises over a document into our word for it."""

from types import TracebackType
from typing import Literal

from docling_core.types.doc.items.table.table_data import TableData
from docling_core.utils.settings import settings
from pydantic import ValidationError

from muniment.errors import DamagedDocument, LimitExceeded, MunimentError


class damage:  # noqa: N801 - reads as what it guards against: `with damage("…"):`
    """Inside the block, an exception of a parser becomes DamagedDocument with the given detail.

    Our own errors, memory running out and the process's end pass through; endless nesting and tables
    larger than docling's become LimitExceeded. The parser's message is dropped: it may quote the
    document.
    """

    def __init__(self, detail: str) -> None:
        self._detail = detail

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        if isinstance(exception, RecursionError):
            raise LimitExceeded("The document is nested too deeply to be read.") from exception
        if isinstance(exception, ValidationError) and _is_of_table_size(exception):
            raise too_large_table() from exception
        passes = (MunimentError, MemoryError, AssertionError)
        if isinstance(exception, Exception) and not isinstance(exception, passes):
            raise DamagedDocument(f"{self._detail} ({type(exception).__name__})") from exception
        return False


def too_large_table() -> LimitExceeded:
    return LimitExceeded(
        f"A table has more than {settings.max_table_cells:,} cells.",
        remedy="Split the table into several files.",
    )


def _is_of_table_size(error: ValidationError) -> bool:
    """The one thing that docling's tables look at as a whole."""
    return error.title == TableData.__name__ and error.errors()[0]["loc"] == ()
