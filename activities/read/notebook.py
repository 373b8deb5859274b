"""Jupyter notebooks (nbformat 3 and 4) as documents: text cells as Markdown, code as code."""

import json
import re
from collections.abc import Iterator
from io import BytesIO

from docling.datamodel.base_models import InputFormat
from docling.datamodel.document import InputDocument
from docling_core.types.doc.document import DoclingDocument
from pydantic import BaseModel, ConfigDict, ValidationError

from activities.read.markdown_page import MarkdownPageBackend

MAXIMUM_OUTPUT_CHARACTERS = 4_000
"""What a cell printed, for each of its outputs; pictures and pages of HTML are left out."""
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})", re.MULTILINE)
_Text = str | list[str]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Output(_Part):
    text: _Text = ""
    data: dict[str, object] = {}


class _Cell(_Part):
    """`source` is called `input` in code cells of nbformat 3."""

    cell_type: str
    source: _Text = ""
    input: _Text = ""
    level: int = 1
    outputs: list[_Output] = []


class _Worksheet(_Part):
    cells: list[_Cell] = []


class _Language(_Part):
    name: str = ""
    language: str = ""


class _Metadata(_Part):
    kernelspec: _Language = _Language()
    language_info: _Language = _Language()


class _Notebook(_Part):
    nbformat: int
    cells: list[_Cell] = []
    worksheets: list[_Worksheet] = []
    metadata: _Metadata = _Metadata()

    def all_cells(self) -> list[_Cell]:
        return [*self.cells, *(cell for sheet in self.worksheets for cell in sheet.cells)]

    def language(self) -> str:
        """As fences of Markdown name it."""
        name = self.metadata.language_info.name or self.metadata.kernelspec.language
        return re.sub(r"[^\w+#-]", "", name)


def is_notebook(text: str) -> bool:
    """Whether JSON is a notebook with cells."""
    return _parsed(text) is not None


def notebook_document(text: str) -> DoclingDocument:
    """The cells in their order, each code cell followed by what it printed; ValueError when the
    JSON is no notebook."""
    notebook = _parsed(text)
    if notebook is None:
        raise ValueError("no notebook")
    markdown = "\n\n".join(_markdown(notebook)).encode("utf-8", "replace")
    source = InputDocument(
        path_or_stream=BytesIO(markdown),
        format=InputFormat.MD,
        backend=MarkdownPageBackend,
        filename="document.md",
    )
    return MarkdownPageBackend(source, BytesIO(markdown)).convert()


def _parsed(text: str) -> _Notebook | None:
    if '"nbformat"' not in text:
        return None
    try:
        notebook = _Notebook.model_validate(json.loads(text.removeprefix("\ufeff")))
    except (ValidationError, ValueError):
        return None
    return notebook if notebook.all_cells() else None


def _markdown(notebook: _Notebook) -> Iterator[str]:
    language = notebook.language()
    for cell in notebook.all_cells():
        source = _joined(cell.source or cell.input).replace("\0", "")
        if not source.strip():
            continue
        if cell.cell_type == "code":
            yield _fenced(source, language)
            yield from map(_fenced, _printed(cell))
        elif cell.cell_type == "heading":  # of nbformat 3
            yield f"{'#' * min(max(cell.level, 1), 6)} {' '.join(source.split())}"
        else:
            yield source if len(_FENCE.findall(source)) % 2 == 0 else _fenced(source)


def _printed(cell: _Cell) -> Iterator[str]:
    for output in cell.outputs:
        plain = output.data.get("text/plain", "")
        text = _joined(output.text) or (_joined_object(plain))
        if text.strip():
            yield text.replace("\0", "")[:MAXIMUM_OUTPUT_CHARACTERS]


def _joined_object(value: object) -> str:
    return "".join(map(str, value)) if isinstance(value, list) else str(value)


def _joined(text: _Text) -> str:
    return text if isinstance(text, str) else "".join(text)


def _fenced(text: str, language: str = "") -> str:
    """As a code block whose fence is longer than any within."""
    longest = max(map(len, re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    body = text.strip("\n")
    return f"{fence}{language}\n{body}\n{fence}"
