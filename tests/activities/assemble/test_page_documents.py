"""Documents of single pages, as a pipeline of models makes them, behind one another."""

import pytest
from docling_core.types.doc.base import BoundingBox, Size
from docling_core.types.doc.common.reference import ProvenanceItem
from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.labels import DocItemLabel

from activities.assemble.page_documents import joined
from muniment.contracts.documents import Page, PageSource
from muniment.errors import EngineError


def page(number: int) -> Page:
    return Page(
        page=number, width=600, height=800, source=PageSource.TEXT, engine="pdf", text=str(number)
    )


def structure(text: str) -> str:
    document = DoclingDocument(name="page")
    document.add_page(page_no=1, size=Size(width=600, height=800))
    place = ProvenanceItem(page_no=1, bbox=BoundingBox(l=1, t=2, r=3, b=4), charspan=(0, len(text)))
    document.add_heading(text=f"Heading {text}", prov=place)
    document.add_text(label=DocItemLabel.TEXT, text=text, prov=place)
    return document.model_dump_json()


def test_every_page_keeps_its_number_where_one_between_was_not_read() -> None:
    numbers = (2, 3, 5)
    document = joined(
        {number: page(number) for number in numbers},
        {number: structure(f"of page {number}") for number in numbers},
        (),
    )
    assert sorted(document.pages) == list(numbers)
    found = {item.prov[0].page_no: item.text for item in document.texts if item.label == "text"}
    assert found == {number: f"of page {number}" for number in numbers}


def test_rules_do_not_stand_in_for_a_pipeline_that_was_chosen() -> None:
    with pytest.raises(EngineError, match="page 2"):
        joined({1: page(1), 2: page(2)}, {1: structure("one")}, ())
