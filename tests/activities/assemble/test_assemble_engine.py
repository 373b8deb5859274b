"""The document that `assemble` builds: headings, paragraphs, furniture, and where each stands."""

from docling_core.types.doc.document import DoclingDocument

from activities.assemble.calls import AssembleRequest
from activities.assemble.engine import assemble
from activities.assemble.export import to_markdown, to_text
from activities.read.calls import ReadProgress, ReadRequest
from activities.read.engine import read_text
from activities.sandbox.registry import EngineContext
from muniment.contracts.documents import Page, PageBatch
from tests.activities.made_documents import (
    Text,
    in_memory,
    inspected,
    pdf,
    unheard,
    word_document,
)


def assembled(data: bytes, name: str) -> str:
    plan = inspected(data, name)
    pages: list[Page] = []
    documents: list[str] = []

    def take(progress: object) -> None:
        assert isinstance(progress, ReadProgress)
        assert progress.failed is None, progress.failed
        if progress.page is not None:
            pages.append(progress.page)
        elif progress.document is not None:
            documents.append(progress.document)

    numbers = tuple(page.page for page in plan.pages)
    request = ReadRequest(media_type=plan.media_type, family=plan.family, pages=numbers)
    read_text(request, EngineContext(in_memory(data), take))
    # out of order, as batches may arrive
    own = documents[0] if documents else None
    batches = [PageBatch(pages=(page,), document=own) for page in pages[::-1]]
    content = "\n".join(batch.model_dump_json() for batch in batches)
    call = AssembleRequest(plan=plan, name=name)
    return assemble(call, EngineContext(in_memory(content.encode()), unheard)).document


def page_of(number: int) -> list[Text]:
    lines = [
        "Deeds were kept in chests with three locks, and no one per-",
        "son held all the keys. The custom is old and well attested",
        "in the registers of the house.",
    ]
    body: list[Text] = [(72, 700 - 14 * row, 11, line) for row, line in enumerate(lines)]
    after: list[Text] = [(72, 620, 11, f"A second paragraph, told on page {number} of the book.")]
    return [
        (72, 810, 9, "Muniments of the house"),
        (72, 730, 18, f"Chapter {number} on keeping"),
        *body,
        *after,
        (290, 30, 9, str(number)),
    ]


def test_headings_paragraphs_and_furniture() -> None:
    document = assembled(pdf([page_of(number) for number in range(1, 5)]), "book.pdf")
    text = to_text(document)
    assert "no one person held" in text
    assert "Muniments of the house" not in text
    assert text.split("\n")[0] == "Chapter 1 on keeping"
    assert to_markdown(document).startswith("## Chapter 1 on keeping\n\nDeeds were kept")
    assert len(text.split("\n")) == 12


def test_every_item_says_where_it_stands() -> None:
    document = DoclingDocument.model_validate_json(
        assembled(pdf([page_of(1), page_of(2)]), "book.pdf")
    )
    assert document.name == "book.pdf"
    assert document.origin is not None
    assert document.origin.mimetype == "application/pdf"
    assert {number: page.size.height for number, page in document.pages.items()} == {
        1: 842,
        2: 842,
    }
    heading = next(item for item in document.texts if item.text == "Chapter 2 on keeping")
    (place,) = heading.prov
    assert place.page_no == 2
    assert place.bbox.coord_origin.value == "TOPLEFT"
    assert 95 < place.bbox.t < place.bbox.b < 120
    assert all(item.prov for item in document.texts)


def test_a_structured_document_is_kept_as_its_backend_made_it() -> None:
    document = assembled(word_document(), "rules.docx")
    assert to_markdown(document).startswith("## Keeping\n\nEvery deed")
    assert "| c" in to_markdown(document)
    parsed = DoclingDocument.model_validate_json(document)
    assert parsed.name == "rules.docx"
    assert all(place.page_no == 1 for item in parsed.texts for place in item.prov)


def test_a_tables_row_stays_together() -> None:
    cells: list[Text] = [
        (72 + 150 * column, 700 - 16 * row, 11, f"{name} {row}")
        for row in range(5)
        for column, name in enumerate(("deed", "year", "seal"))
    ]
    text = to_text(assembled(pdf([cells]), "table.pdf"))
    assert text.split("\n") == [f"deed {row} year {row} seal {row}" for row in range(5)]
