"""How items of a document become text that can be read and quoted."""

from docling_core.transforms.chunker.hierarchical_chunker import ChunkingDocSerializer
from docling_core.transforms.serializer.base import BaseDocSerializer, BaseSerializerProvider
from docling_core.transforms.serializer.markdown import MarkdownParams, MarkdownTableSerializer
from docling_core.types.doc.base import ImageRefMode
from docling_core.types.doc.common.content_layer import ContentLayer
from docling_core.types.doc.document import DoclingDocument


class QuotableSerializerProvider(BaseSerializerProvider):
    """Text as the page has it: no emphasis marks, no link targets, nothing escaped; tables as
    Markdown rows, whose cells stand as written (docling's default says "row, column = value")."""

    def get_serializer(self, doc: DoclingDocument) -> BaseDocSerializer:
        return ChunkingDocSerializer(
            doc=doc,
            table_serializer=MarkdownTableSerializer(),
            params=MarkdownParams(
                layers=_layers(doc),
                image_mode=ImageRefMode.PLACEHOLDER,
                image_placeholder="",
                escape_underscores=False,
                escape_html=False,
                include_formatting=False,
                include_hyperlinks=False,
                format_code_blocks=False,
                # A rule of dashes costs the window a token per dash.
                compact_tables=True,
                # Text found inside a picture is text of the document.
                traverse_pictures=True,
            ),
        )


def _layers(document: DoclingDocument) -> set[ContentLayer]:
    """The body and speakers' notes. Page headers and footers are left out where there are pages,
    since they would come in every few passages; docling files what precedes the first heading of a
    web page under the same layer, which has to stay."""
    layers = {ContentLayer.BODY, ContentLayer.NOTES}
    if not document.pages:
        layers.add(ContentLayer.FURNITURE)
    return layers
