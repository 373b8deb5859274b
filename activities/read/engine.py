"""The engines `read_text` and `read_ocr`: pages out of a document, each reported when it is done."""

import tempfile
from collections.abc import Callable, Sequence

from docling_core.types.doc.document import DoclingDocument

from activities.assemble.export import document_text
from activities.read.annotations import open_form, with_annotations
from activities.read.at_once import PagesAtHand, assembled_at_once
from activities.read.calls import ReadOutcome, ReadProgress, ReadRequest
from activities.read.completion import complete
from activities.read.damage import damage
from activities.read.encrypted_office import unlocked
from activities.read.ocr_engines import ocr_engine
from activities.read.page_image import page_images
from activities.read.parsed_page import parse
from activities.read.pdf_file import open_pdf
from activities.read.provenance import settle_provenance
from activities.read.structured import convert
from activities.read.text_layer import TextLayerReader
from activities.read.unseen_in_documents import take_out_unseen
from activities.read.warming import documents_to_begin_with
from activities.sandbox.content import Content
from activities.sandbox.registry import EngineContext, engine, warm
from muniment.contracts.documents import DocumentFamily, HiddenText, Line, Page, PageSource
from muniment.contracts.read import FailedPage
from muniment.errors import DocumentError, UnknownFormat

STRUCTURED_ENGINE = "docling"


@engine("read_text")
def read_text(request: ReadRequest, context: EngineContext) -> ReadOutcome:
    """Pages by their text layer, or of a structured format, which is converted whole."""
    if request.family is DocumentFamily.PDF:
        with context.content.open() as file, open_pdf(file, request.password) as document:
            open_form(document)
            parsed = parse(context.content.path, request.password)
            reader = TextLayerReader(document, parsed)
            pages = _read_each(
                request,
                context,
                lambda number: with_annotations(document, reader.read(number)),
            )
        return ReadOutcome(assembled=assembled_at_once(request, pages))
    if request.family is DocumentFamily.IMAGE:
        raise UnknownFormat("An image has no text layer.")
    document = convert(
        unlocked(context.content, request.password), request.media_type, request.password
    )
    complete(document)
    settle_provenance(document, request.family)
    hidden = take_out_unseen(document)
    pages = _read_each(
        request,
        context,
        lambda number: _structured_page(document, number, hidden.get(number, ())),
    )
    own = document.model_dump_json()
    context.report(ReadProgress(document=own))
    return ReadOutcome(assembled=assembled_at_once(request, pages, own))


@engine("read_ocr")
def read_ocr(request: ReadRequest, context: EngineContext) -> ReadOutcome:
    """Pages by optical character recognition."""
    reader = ocr_engine(request.ocr)
    with page_images(context.content, request.family, request.password) as images:
        _read_each(request, context, lambda number: reader.read(number, images.image(number)))
    return ReadOutcome()


def _read_each(
    request: ReadRequest, context: EngineContext, read: Callable[[int], Page]
) -> PagesAtHand:
    """One bad page fails alone."""
    at_hand = PagesAtHand()
    for number in request.pages:
        try:
            with damage("The page is damaged beyond reading."):
                page = read(number)
            progress = ReadProgress(page=page)
            if request.assemble is not None:
                at_hand.add(page)
        except DocumentError as error:
            progress = ReadProgress(failed=FailedPage(page=number, problem=error.detail))
        context.report(progress)
    return at_hand


def _structured_page(document: DoclingDocument, number: int, hidden: Sequence[HiddenText]) -> Page:
    text = document_text(document, number)
    size = document.pages[number].size if number in document.pages else None
    return Page(
        page=number,
        width=round(size.width, 2) if size else 0,
        height=round(size.height, 2) if size else 0,
        source=PageSource.TEXT,
        engine=STRUCTURED_ENGINE,
        text=text,
        lines=tuple(Line(text=line) for line in text.splitlines() if line.strip()),
        hidden=tuple(hidden),
    )


@warm
def warm_reading() -> None:
    """Every child then finds the libraries ready."""
    for request, content in documents_to_begin_with():
        with tempfile.TemporaryFile() as file:
            file.write(content)
            file.flush()
            read_text(request, EngineContext(Content(file.fileno()), lambda _: None))
