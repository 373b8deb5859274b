"""Passages: within the window, nothing lost, each with its place."""

import gc
import re
import time
from collections import Counter
from pathlib import Path

import pytest
from docling_core.types.doc.base import Size
from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.labels import DocItemLabel, GroupLabel

from activities.chunk.engine import chunk_document
from activities.chunk.tokens import COUNTED_CHARACTERS, count_exactly
from muniment.contracts.documents import Chunk
from muniment.embedding.tokenizer import load_tokenizer
from tests.activities.chunk.documents import (
    LETTER,
    paged_document,
    place,
    plain_document,
    sentences,
    table,
)

WORD = re.compile(r"\w+")


def tokens_as_embedded(chunk: Chunk) -> int:
    """With [CLS] and [SEP], by the tokenizer itself."""
    return len(load_tokenizer().encode(chunk.embedding_text()))


def words_of(document: DoclingDocument) -> set[str]:
    texts = [item.text for item in document.texts]
    texts += [cell.text for each in document.tables for cell in each.data.table_cells]
    return {word for text in texts for word in WORD.findall(text)}


def words_in(chunks: tuple[Chunk, ...]) -> set[str]:
    return {word for chunk in chunks for word in WORD.findall(chunk.embedding_text())}


HARD_TEXTS = {
    "long paragraphs": sentences(400),
    "lines": sentences(200).replace(". ", ".\n"),
    "one endless word": "x" * 60_000,
    "no spaces, no borders": "สวัสดีครับผมชื่อ" * 1500,
    "ideographs": "文書は証拠である。" * 800,
    "white space": ("a" + " " * 500) * 60,
    "separators": "1,2,3;4,5;" * 1500,
    "emoji": "😀" * 5000,
    "brackets": "(" * 10_000 + "1" + ")" * 10_000,
    "addresses": "a@" * 5000 + "1-" * 5000 + "." * 5000,
    "brackets between words": ("(" * 300 + " and ") * 50,
    "hangul": "한국어문서입니다" * 1000,
    "marks": "a" + "\u0301" * 20_000,
    "gaps of every length": "".join("word" + " " * length for length in range(1, 1_500)),
}


@pytest.mark.parametrize("text", HARD_TEXTS.values(), ids=HARD_TEXTS.keys())
def test_every_chunk_of_hard_text_fits_and_no_character_is_lost(text: str) -> None:
    chunks = chunk_document(plain_document(text)).chunks
    assert all(tokens_as_embedded(chunk) <= 256 for chunk in chunks)
    assert all(chunk.text.strip() for chunk in chunks)
    assert all(len(chunk.text) <= 256 * 16 for chunk in chunks), "an unsearchable monster"
    assert "".join("".join(chunk.text.split()) for chunk in chunks) == "".join(text.split())


@pytest.mark.parametrize("name", ["brackets", "addresses", "ideographs", "gaps of every length"])
def test_time_grows_with_hard_text_no_faster_than_the_text(name: str) -> None:
    def seconds(times: int) -> float:
        started = time.process_time()
        chunk_document(plain_document(HARD_TEXTS[name] * times))
        return time.process_time() - started

    seconds(1)
    in_proportion = any(seconds(12) < 8 * seconds(3) for _ in range(3))
    assert in_proportion, "four times the text took eight times as long, three times over"


def test_text_without_spaces_is_cut_between_its_sentences() -> None:
    chunks = chunk_document(plain_document("文書は証拠である。" * 400)).chunks
    assert all(chunk.text.endswith("。") for chunk in chunks)


VAST_CELLS = {
    "in the first row": (1, 1),
    "in a middle row": (9, 1),
    "in the last row": (20, 2),
    "in the header": (0, 1),
}


@pytest.mark.parametrize("place", VAST_CELLS.values(), ids=VAST_CELLS.keys())
@pytest.mark.parametrize("words_per_cell", [1, 40])
@pytest.mark.parametrize("length", [700, 40_000])
def test_a_table_with_an_endless_word_loses_none_of_its_others(
    place: tuple[int, int], words_per_cell: int, length: int
) -> None:
    document = DoclingDocument(name="sheet")
    data = table(rows=21, columns=3, words_per_cell=words_per_cell)
    row, column = place
    data.table_cells[3 * row + column].text = "(" * length
    item = document.add_table(data)
    item.captions.append(document.add_text(DocItemLabel.CAPTION, "Rolls of the mill").get_ref())
    expected = words_of(document)
    started = time.process_time()
    chunks = chunk_document(document).chunks
    assert time.process_time() - started < 30
    assert all(tokens_as_embedded(chunk) <= 256 for chunk in chunks)
    assert sum(chunk.text.count("(") for chunk in chunks) == length
    assert expected <= words_in(chunks)


def test_an_item_just_below_the_longest_that_is_counted_whole_has_followers() -> None:
    """What follows it is put together as quickly as after a short one."""
    document = DoclingDocument(name="list")
    document.add_heading(sentences(4), level=1)
    group = document.add_group(label=GroupLabel.LIST)
    document.add_list_item("(" * (COUNTED_CHARACTERS - 200), parent=group)
    for number in range(800):
        document.add_list_item(f"item {number}", parent=group)
    started = time.process_time()
    chunks = chunk_document(document).chunks
    assert time.process_time() - started < 5
    assert "item 799" in chunks[-1].text


def test_nothing_but_white_space_is_no_passage() -> None:
    assert chunk_document(plain_document(" " * 6_000, "\n" * 60_000)).chunks == ()


def test_headings_count_against_the_window_and_lead_the_embedded_text() -> None:
    document = paged_document(12)
    expected = words_of(document)
    chunks = chunk_document(document).chunks
    assert [chunk.ordinal for chunk in chunks] == list(range(len(chunks)))
    for chunk in chunks:
        assert tokens_as_embedded(chunk) == chunk.token_count + 2 <= 256
        assert chunk.headings
        assert chunk.embedding_text() == "\n".join([*chunk.headings, chunk.text])
    assert expected <= words_in(chunks)


def test_neighbours_below_the_same_heading_share_a_chunk() -> None:
    document = DoclingDocument(name="minutes")
    document.add_heading("Agenda", level=1)
    for number in range(5):
        document.add_text(DocItemLabel.TEXT, f"Point {number} was agreed.")
    document.add_heading("Votes", level=1)
    document.add_text(DocItemLabel.TEXT, "Carried.")
    agenda, votes = chunk_document(document).chunks
    assert agenda.text.count("agreed") == 5
    assert (votes.headings, votes.text) == (("Votes",), "Carried.")


def test_long_paragraphs_are_cut_between_sentences() -> None:
    chunks = chunk_document(plain_document(sentences(60))).chunks
    assert len(chunks) > 3
    assert all(chunk.text.startswith("The tenant") for chunk in chunks)
    assert all(chunk.text.endswith("ends.") for chunk in chunks)


def test_a_heading_without_text_below_it_is_a_passage() -> None:
    document = DoclingDocument(name="cover")
    document.add_title("Annual report")
    document.add_heading("Nothing follows", level=1)
    (chunk,) = chunk_document(document).chunks
    assert (chunk.headings, chunk.text) == (("Annual report",), "Nothing follows")


def test_a_heading_longer_than_the_window_becomes_text() -> None:
    document = DoclingDocument(name="poster")
    document.add_heading(sentences(40), level=1)
    document.add_text(DocItemLabel.TEXT, "Below the poster.")
    expected = words_of(document)
    chunks = chunk_document(document).chunks
    assert all(tokens_as_embedded(chunk) <= 256 for chunk in chunks)
    assert expected <= words_in(chunks)
    assert "Below the poster." in chunks[-1].text


def test_many_nested_headings_leave_room_for_text() -> None:
    document = DoclingDocument(name="statute")
    for level in range(1, 20):
        document.add_heading(f"Level {level}: " + "general provisions on leases " * 3, level=level)
    document.add_text(DocItemLabel.TEXT, sentences(30))
    expected = words_of(document)
    chunks = chunk_document(document).chunks
    assert all(tokens_as_embedded(chunk) <= 256 for chunk in chunks)
    assert expected <= words_in(chunks)


@pytest.mark.parametrize(("rows", "columns", "words"), [(120, 5, 1), (6, 40, 4), (4, 3, 150)])
def test_tables_are_cut_at_rows_or_columns_and_keep_every_cell(
    rows: int, columns: int, words: int
) -> None:
    document = DoclingDocument(name="ledger")
    document.add_table(table(rows, columns, words))
    expected = words_of(document)
    chunks = chunk_document(document).chunks
    assert len(chunks) > 1
    assert all(tokens_as_embedded(chunk) <= 256 for chunk in chunks)
    assert expected <= words_in(chunks)


def test_a_table_row_can_be_quoted_and_every_part_repeats_the_header() -> None:
    document = DoclingDocument(name="ledger")
    document.add_table(table(120, 3))
    chunks = chunk_document(document).chunks
    assert any("| r1c0w0 | r1c1w0 | r1c2w0 |" in chunk.text for chunk in chunks)
    assert all(chunk.text.startswith("| Head0 | Head1 | Head2 |") for chunk in chunks)


def test_boxes_are_points_from_the_top_left() -> None:
    document = DoclingDocument(name="page")
    document.add_page(page_no=3, size=LETTER)
    document.add_text(DocItemLabel.TEXT, "Signed.", prov=place(3, top=700, bottom=680, span=(0, 7)))
    (chunk,) = chunk_document(document).chunks
    assert chunk.pages == (3,)
    assert [(box.page, box.bbox) for box in chunk.boxes] == [(3, (72, 92, 540, 112))]


def test_boxes_of_slides_are_converted_to_points() -> None:
    document = DoclingDocument(name="slides")
    document.origin = _origin("presentationml.presentation")
    document.add_page(page_no=1, size=Size(width=9_144_000, height=6_858_000))
    prov = place(1, top=6_858_000 - 12_700, bottom=6_858_000 - 25_400, span=(0, 5))
    document.add_text(DocItemLabel.TEXT, "Slide", prov=prov)
    (chunk,) = chunk_document(document).chunks
    assert chunk.boxes[0].bbox[1::2] == (1.0, 2.0)


def test_cells_of_sheets_have_a_page_and_no_boxes() -> None:
    document = DoclingDocument(name="sheet")
    document.origin = _origin("spreadsheetml.sheet")
    document.add_page(page_no=2, size=Size(width=4, height=9))
    document.add_table(table(3, 3), prov=place(2, top=9, bottom=0, span=(0, 0)))
    (chunk,) = chunk_document(document).chunks
    assert (chunk.pages, chunk.boxes) == ((2,), ())


def test_part_of_a_paragraph_over_two_pages_names_the_page_it_is_on() -> None:
    text = sentences(40)
    half = len(text) // 2
    document = DoclingDocument(name="lease")
    for page in (1, 2):
        document.add_page(page_no=page, size=LETTER)
    item = document.add_text(
        DocItemLabel.TEXT, text, prov=place(1, top=300, bottom=40, span=(0, half))
    )
    item.prov.append(place(2, top=760, bottom=500, span=(half, len(text))))
    chunks = chunk_document(document).chunks
    assert chunks[0].pages == (1,)
    assert chunks[-1].pages == (2,)
    assert {page for chunk in chunks for page in chunk.pages} == {1, 2}


def test_formats_without_pages_are_on_page_one() -> None:
    (chunk,) = chunk_document(plain_document("A note.")).chunks
    assert (chunk.pages, chunk.boxes, chunk.headings) == ((1,), (), ())


def test_an_empty_document_has_no_chunks() -> None:
    assert chunk_document(plain_document("", "  \n ")).chunks == ()


def test_the_same_document_gives_the_same_chunks() -> None:
    assert chunk_document(paged_document(8)) == chunk_document(paged_document(8))


def test_time_grows_with_pages_no_faster_than_the_pages() -> None:
    def once(document: DoclingDocument) -> float:
        gc.disable()  # the collector of a long run strikes at times
        try:
            started = time.process_time()
            chunk_document(document)
            return time.process_time() - started
        finally:
            gc.enable()

    def seconds(pages: int) -> float:
        document = paged_document(pages)
        return min(once(document) for _ in range(3))

    seconds(5)
    in_proportion = any(seconds(320) < 8 * seconds(80) for _ in range(3))
    assert in_proportion, "four times the pages took eight times as long, three times over"


def test_words_are_counted_as_the_tokenizer_counts_the_text(shared_data: Path) -> None:
    texts = [*HARD_TEXTS.values()]
    texts += [
        path.read_text(encoding="utf-8", errors="replace")[:20_000]
        for path in sorted((shared_data / "documents" / "markdown").glob("*.md"))
    ]
    tokenizer = load_tokenizer()
    for text in texts:
        for start in range(0, len(text), 700):
            part = text[start : start + 700]
            assert count_exactly(part) == len(tokenizer.encode(part, add_special_tokens=False))


def test_real_documents_keep_every_word(shared_data: Path) -> None:
    from docling.backend.html_backend import HTMLDocumentBackend
    from docling.backend.msword_backend import MsWordDocumentBackend
    from docling.datamodel.base_models import InputFormat
    from docling.datamodel.document import InputDocument

    folder = shared_data / "documents"
    for path, kind, backend in (
        (folder / "docx" / "word_tables.docx", InputFormat.DOCX, MsWordDocumentBackend),
        (folder / "html" / "table_06.html", InputFormat.HTML, HTMLDocumentBackend),
    ):
        parsed = InputDocument(path_or_stream=path, format=kind, backend=backend)
        document = parsed._backend.convert()
        expected = words_of(document)
        chunks = chunk_document(document).chunks
        lost = Counter(expected - words_in(chunks))
        assert not lost, f"{path.name} lost {len(lost)} words"
        assert all(tokens_as_embedded(chunk) <= 256 for chunk in chunks)


def _origin(kind: str):  # type: ignore[no-untyped-def]  # docling's type, used nowhere else
    from docling_core.types.doc.document import DocumentOrigin

    mimetype = f"application/vnd.openxmlformats-officedocument.{kind}"
    return DocumentOrigin(mimetype=mimetype, binary_hash=1, filename="made")
