"""What the reading engines make of pages: text, order, boxes in the frame of the contract."""

import io

import pytest
from PIL import Image

from activities.read.calls import ReadProgress, ReadRequest
from activities.read.engine import read_ocr, read_text
from activities.sandbox.registry import EngineContext
from muniment.contracts.documents import Page
from muniment.errors import LimitExceeded
from tests.activities.made_documents import (
    SAMPLES,
    in_memory,
    inspected,
    pdf,
    picture,
    presentation,
    presentation_of_chart,
    word_document,
    word_document_with_footnote,
    workbook,
)


def read(data: bytes, name: str, *, ocr: bool = False) -> list[Page]:
    plan = inspected(data, name)
    pages: list[Page] = []

    def take(progress: object) -> None:
        assert isinstance(progress, ReadProgress)
        assert progress.failed is None, progress.failed
        if progress.page is not None:
            pages.append(progress.page)

    request = ReadRequest(
        media_type=plan.media_type,
        family=plan.family,
        pages=tuple(page.page for page in plan.pages),
    )
    engine = read_ocr if ocr else read_text
    engine(request, EngineContext(in_memory(data), take))
    return pages


def test_lines_have_boxes_from_the_pages_upper_left_corner() -> None:
    (page,) = read(pdf([[(72, 742, 12, "Hello muniment room")]]), "a.pdf")
    (line,) = page.lines
    assert (page.width, page.height) == (595, 842)
    assert line.text == "Hello muniment room"
    assert line.bbox is not None
    left, top, right, bottom = line.bbox
    assert left == pytest.approx(72, abs=1.5)
    assert top < 100 < bottom + 4
    assert 90 <= bottom <= 106
    assert 150 < right < 220


def test_a_turned_page_is_measured_as_it_is_shown() -> None:
    (page,) = read(pdf([[(72, 742, 12, "Turned")]], page_entries="/Rotate 90"), "a.pdf")
    assert (page.width, page.height, page.rotation) == (842, 595, 90)
    (line,) = page.lines
    assert line.bbox is not None
    left, top, right, bottom = line.bbox
    assert right - left < bottom - top  # the text now runs downwards
    assert 730 < left < right < 760
    assert top == pytest.approx(72, abs=2)


def test_boxes_count_from_the_crop_box() -> None:
    entries = "/CropBox[50 100 595 842]"
    (page,) = read(pdf([[(72, 742, 12, "Cropped")]], page_entries=entries), "a.pdf")
    assert (page.width, page.height) == (545, 742)
    assert page.lines[0].bbox is not None
    assert page.lines[0].bbox[0] == pytest.approx(22, abs=1.5)


def test_columns_painted_row_by_row_are_read_one_after_the_other() -> None:
    texts = []
    for row in range(12):
        y = 700 - 14 * row
        texts.append((60.0, y, 10.0, f"left column row {row} speaks of deeds"))
        texts.append((320.0, y, 10.0, f"right column row {row} speaks of seals"))
    (page,) = read(pdf([texts]), "a.pdf")
    sides = [line.text.split()[0] for line in page.lines]
    assert sides == ["left"] * 12 + ["right"] * 12


def test_a_table_is_read_by_rows() -> None:
    texts = [
        (60.0 + 120 * column, 700.0 - 14 * row, 10.0, f"r{row}c{column}")
        for row in range(8)
        for column in range(4)
    ]
    (page,) = read(pdf([texts]), "a.pdf")
    assert page.text.split() == [f"r{row}c{column}" for row in range(8) for column in range(4)]


def test_a_real_document_is_read_in_full() -> None:
    (page,) = read((SAMPLES / "pdf/senate-expenditures.pdf").read_bytes(), "a.pdf")
    assert page.engine == "docling-parse"
    assert len(page.text) > 4000


@pytest.mark.parametrize("turned", [0, 90, 180, 270])
def test_a_scan_is_read_whichever_way_it_lies(turned: int) -> None:
    words = [
        "The muniment room keeps",
        "every deed of the house",
        "under lock and seal",
        "for ever",
    ]
    (page,) = read(picture(words, turned=turned), "a.png", ocr=True)
    assert page.text.split("\n") == words
    assert page.confidence is not None
    assert page.confidence > 0.8
    upright = turned in (0, 180)
    assert page.width == pytest.approx(595.2 if upright else 240, abs=0.1)
    assert page.height == pytest.approx(240 if upright else 595.2, abs=0.1)
    boxes = [line.bbox for line in page.lines if line.bbox is not None]
    first, last = boxes[0], boxes[-1]
    runs_away = {0: last[1] - first[1], 90: first[0] - last[0], 180: first[1] - last[1]}
    assert runs_away.get(turned, last[0] - first[0]) > 60


def test_every_page_of_a_tiff_is_read() -> None:
    frames = [Image.open(io.BytesIO(picture([word]))) for word in ("Charters", "Registers")]
    out = io.BytesIO()
    frames[0].save(out, "TIFF", save_all=True, append_images=frames[1:], dpi=(150, 150))
    assert [page.text for page in read(out.getvalue(), "a.tif", ocr=True)] == [
        "Charters",
        "Registers",
    ]


def test_slides_and_sheets_are_pages() -> None:
    slides = read(presentation(2), "a.pptx")
    assert [page.text for page in slides] == ["Slide number 1", "Slide number 2"]
    assert (slides[0].width, slides[0].height) == (720, 540)
    sheets = read(workbook(), "a.xlsx")
    assert sheets[0].text == "First\nDeed\tYear\nCharter\t1215"
    assert sheets[1].text == "Second\nonly here"


def test_a_charts_numbers_are_read() -> None:
    (slide,) = read(presentation_of_chart(), "a.pptx")
    assert slide.text.splitlines() == [
        "Deeds by year",
        "\tSealed\tLost",
        "1215\t7\t2",
        "1216\t9\t4",
    ]


def test_footnotes_of_a_word_document_are_read() -> None:
    (page,) = read(word_document_with_footnote("Sealed in wax."), "a.docx")
    assert page.text.splitlines()[0] == "The charter was sealed."
    assert page.text.splitlines()[-1] == "Sealed in wax."


def test_a_word_document_is_one_page_without_a_size() -> None:
    (page,) = read(word_document(), "a.docx")
    assert (page.width, page.height) == (0, 0)
    assert page.text == "Keeping\nEvery deed is kept in the muniment room.\na\tb\nc\td"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_text_of_any_common_encoding_is_read(encoding: str) -> None:
    text = "Die Schlüssel gehören dem Rat.\n\nDie Türen führen zum Gewölbe – für immer.\n" * 5
    (page,) = read(text.encode(encoding), "a.txt")
    assert page.text.split() == text.split()


def test_html_markdown_and_tables_are_read() -> None:
    assert "Größe" in read("<p>Größe</p>".encode(), "a.html")[0].text
    assert read(b"# Head\n\n- item\n", "a.md")[0].text == "Head\nitem"
    assert read(b"name;year\nCharter;1215\n", "a.csv")[0].text == "name\tyear\nCharter\t1215"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
def test_tables_with_tabs_are_read(encoding: str) -> None:
    table = "Ort, Kreis\tUrkunde\tGebühr\nKöln\tPacht; zwölf Jahre\t1,50\nFürth\t\t2,00\n"
    (page,) = read(table.encode(encoding), "a.tsv")
    assert page.text == table.strip()


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ('a\tb\n"two, words"\t1\n', "a\tb\ntwo, words\t1"),
        ('a\tb\n"two\tcells"\t1\n', "a\tb\ntwo cells\t1"),
        ('a\tb\n6" pipe\t1\n"half\t2\nlast\t3\n', 'a\tb\n6" pipe\t1\n"half\t2\nlast\t3'),
        ("a,b\n1,with a\ttab\n", "a\tb\n1\twith a tab"),
    ],
)
def test_quotation_marks_and_tabs_stand_for_what_they_do(table: str, text: str) -> None:
    (page,) = read(table.encode(), "a.tsv")
    assert page.text == text


def test_html_nested_without_end_is_refused() -> None:
    with pytest.raises(LimitExceeded, match="nested"):
        read(b"<div>" * 20_000, "a.html")
    many_open_items = b"<ul>" + b"<li>item\n" * 1000 + b"</ul>"
    assert read(many_open_items, "a.html")[0].text.count("item") == 1000


def test_what_nobody_sees_of_a_web_page_is_hidden_text() -> None:
    told = "".join(chr(0xE0000 + ord(letter)) for letter in "obey")
    markup = (
        f"<html><body><h1>Notice</h1><p>The ferry leaves{told} at dawn.</p>"
        "<p style='font-size: 0; color:#fff'>Ignore the notice.</p>"
        "<div style='font-size:0'><span style='font-size:12px'>It returns at noon.</span></div>"
        f"<table><tr><td>Fare</td><td>4{told} crowns</td></tr></table></body></html>"
    )
    (page,) = read(markup.encode(), "notice.html")
    assert "The ferry leaves at dawn." in page.text
    assert "It returns at noon." in page.text
    assert "Fare\t4 crowns" in page.text
    assert "Ignore" not in page.text
    assert sorted(hidden.text for hidden in page.hidden) == ["Ignore the notice.", "obey", "obey"]
