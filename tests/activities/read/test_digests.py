"""Equal digests stand for pages that are read alike, whatever else their documents hold."""

from pathlib import Path

import pypdfium2

from activities.read.annotations import open_form, with_annotations
from activities.read.calls import DigestRequest, PageDigests
from activities.read.digests import digest_pages
from activities.read.text_layer import TextLayerReader
from activities.sandbox.content import Content
from activities.sandbox.registry import EngineContext
from tests.activities.made_documents import assembled_pdf


def digests_of(path: Path) -> PageDigests:
    with path.open("rb") as file:
        content = Content(file.fileno())
        return digest_pages(DigestRequest(), EngineContext(content, lambda _: None))


def text_of(path: Path) -> str:
    with pypdfium2.PdfDocument(path) as document:
        open_form(document)
        return with_annotations(document, TextLayerReader(document, None).read(1)).text


def form_with_parent(value: str) -> bytes:
    """The value stands in the field; the page refers to its widget only."""
    return assembled_pdf(
        [
            "<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[5 0 R]>>>>",
            "<</Type/Pages/Kids[3 0 R]/Count 1>>",
            "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Annots[4 0 R]>>",
            "<</Type/Annot/Subtype/Widget/Parent 5 0 R/Rect[200 690 400 710]/F 4>>",
            f"<</FT/Tx/T(sum)/V({value})/Kids[4 0 R]>>",
        ]
    )


def numbered_from(start: int, count: int) -> bytes:
    pages = [
        f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 {500 + number} 842]>>" for number in range(count)
    ]
    kids = " ".join(f"{number} 0 R" for number in range(3, 3 + count))
    return assembled_pdf(
        [
            f"<</Type/Catalog/Pages 2 0 R/PageLabels<</Nums[0<</S/D/St {start}>>]>>>>",
            f"<</Type/Pages/Kids[{kids}]/Count {count}>>",
            *pages,
        ]
    )


def test_pages_that_differ_in_the_value_of_a_field_differ(tmp_path: Path) -> None:
    first, second, again = (tmp_path / name for name in ("first", "second", "again"))
    first.write_bytes(form_with_parent("412"))
    second.write_bytes(form_with_parent("7412"))
    again.write_bytes(form_with_parent("412") + b"%")
    assert (text_of(first), text_of(second)) == ("412", "7412")
    assert digests_of(first).digests != digests_of(second).digests
    assert digests_of(first) == digests_of(again)


def test_labels_are_of_the_document_and_no_part_of_a_digest(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(numbered_from(1, 2))
    second.write_bytes(numbered_from(10, 2))
    assert digests_of(first).labels == ("1", "2")
    assert digests_of(second).labels == ("10", "11")
    assert digests_of(first).digests == digests_of(second).digests
    assert len(set(digests_of(first).digests)) == 2
