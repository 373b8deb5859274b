"""What the engines `render_page`, `render_markdown` and `mark_pdf` are asked and answer."""

from pydantic import ConfigDict

from muniment.contracts.base import Contract
from muniment.contracts.documents import DocumentFamily
from muniment.contracts.render_view import PageImageView, RedactedView


class PageImageRequest(Contract):
    """The content is the document itself."""

    family: DocumentFamily
    view: PageImageView
    password: str | None = None


class MarkdownRequest(Contract):
    """The content is DoclingDocument JSON."""


class MarkRequest(Contract):
    """The content is a PDF. `name` and `id` are of whoever shared it."""

    name: str
    id: str


class RedactionRequest(Contract):
    """The content is the document itself."""

    family: DocumentFamily
    view: RedactedView


class RenderedView(Contract):
    """The view's bytes."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64"
    )

    content: bytes
