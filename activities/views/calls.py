"""What the engines `render_page` and `render_markdown` are asked and answer."""

from pydantic import ConfigDict

from muniment.contracts.base import Contract
from muniment.contracts.documents import DocumentFamily
from muniment.contracts.render_view import PageImageView


class PageImageRequest(Contract):
    """The content is the document itself."""

    family: DocumentFamily
    view: PageImageView
    password: str | None = None


class MarkdownRequest(Contract):
    """The content is DoclingDocument JSON."""


class RenderedView(Contract):
    """The view's bytes."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64"
    )

    content: bytes
