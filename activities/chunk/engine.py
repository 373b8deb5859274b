"""The engine `chunk`: DoclingDocument JSON in, passages out."""

import warnings
from collections.abc import Iterator, Sequence

from docling_core.transforms.chunker.doc_chunk import DocChunk
from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.labels import DocItemLabel
from pydantic import ValidationError

from activities.chunk.calls import ChunkRequest, MaskedValue
from activities.chunk.headings import bound_headings
from activities.chunk.masking import Masker
from activities.chunk.provenance import Places
from activities.chunk.segments import SegmentingChunker
from activities.chunk.serialisation import QuotableSerializerProvider
from activities.chunk.tokens import WindowTokenizer, count_exactly
from activities.sandbox.registry import EngineContext, engine, warm
from muniment.contracts.documents import Chunk, ChunkList
from muniment.embedding import MODEL_ID, WINDOW_TOKENS
from muniment.errors import DamagedDocument


@engine("chunk")
def chunk(request: ChunkRequest, context: EngineContext) -> ChunkList:
    """The passages of the document; DamagedDocument when the content is no DoclingDocument."""
    try:
        document = DoclingDocument.model_validate_json(context.content.read())
    except ValidationError:
        # The validator's own message quotes the document.
        raise DamagedDocument("The assembled document does not follow its schema.") from None
    return chunk_document(document, request.window_tokens, request.masks)


def chunk_document(
    document: DoclingDocument,
    window_tokens: int = WINDOW_TOKENS,
    masks: Sequence[MaskedValue] = (),
) -> ChunkList:
    """Passages in reading order, none of them empty, each with its headings within the window.

    A passage is what stands together below the same headings, as much as fits; an item longer than
    the window is cut at sentences, else at words, a table at its rows with the header repeated.
    The same document always gives the same passages. The document is used up: long headings
    become text in it, and tokens stand in it where the values that are masked stood.
    """
    tokenizer = WindowTokenizer(window_tokens=window_tokens)
    masker = Masker(masks)
    masker.mask_document(document)
    bound_headings(document, tokenizer)
    places = Places(document)
    chunks: list[Chunk] = []
    for passage in _passages(document, tokenizer):
        text, headings = _text_and_headings(passage)
        if not text:
            continue
        pages, boxes = places.of(passage.meta.doc_items, text)
        draft = Chunk(
            ordinal=len(chunks),
            text=text,
            token_count=0,
            headings=headings,
            pages=pages,
            boxes=boxes,
        )
        chunks.append(draft)
    masked = masker.masked_chunks(chunks)
    counted = tuple(
        chunk.model_copy(update={"token_count": count_exactly(chunk.embedding_text())})
        for chunk in masked
    )
    return ChunkList(
        chunks=counted,
        embedding_model=MODEL_ID,
        unmasked_count=masker.unmasked_count(counted),
    )


def _passages(document: DoclingDocument, tokenizer: WindowTokenizer) -> Iterator[DocChunk]:
    chunker = SegmentingChunker(
        tokenizer=tokenizer,
        serializer_provider=QuotableSerializerProvider(),
        merge_peers=True,
        repeat_table_header=True,
        # A heading with nothing below it is text of the document too.
        always_emit_headings=True,
    )
    with warnings.catch_warnings():
        # docling's warnings quote the document.
        warnings.simplefilter("ignore")
        for passage in chunker.chunk(document):
            if isinstance(passage, DocChunk):
                yield passage


def _text_and_headings(passage: DocChunk) -> tuple[str, tuple[str, ...]]:
    """A heading that nothing stands below is a passage of its own, below those above it."""
    headings = tuple(stripped for part in passage.meta.headings or () if (stripped := part.strip()))
    text = passage.text.strip()
    if not text and headings:
        return headings[-1], headings[:-1]
    return text, headings


@warm
def warm_chunker() -> None:
    """Loads the tokenizer and every lazy import of docling before the first document."""
    document = DoclingDocument(name="warm")
    document.add_text(label=DocItemLabel.TEXT, text="A document to begin with.")
    chunk_document(document)
