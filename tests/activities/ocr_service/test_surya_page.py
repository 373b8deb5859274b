"""Blocks as Surya gives them, and what becomes of them: without surya-ocr, which needs torch."""

import time

import numpy
import pytest

from activities.assemble.structure import make_blocks
from activities.ocr_service.surya_html import table_of, text_lines
from activities.ocr_service.surya_page import SuryaBlock, page_of
from activities.read.geometry import Box
from activities.read.page_image import PageImage
from muniment.contracts.documents import Page

IMAGE = PageImage(numpy.full((1600, 1200, 3), 255, numpy.uint8), 2.0, 600, 800)


def read(*blocks: tuple[str, str, tuple[float, float, float, float]]) -> Page:
    return page_of(
        1, IMAGE, [SuryaBlock(label, html, Box(*box), 0.9) for label, html, box in blocks]
    )


@pytest.mark.parametrize(
    ("html", "lines"),
    [
        ("<p>one</p><p>two<br/>three</p>", ["one", "two", "three"]),
        ("plain &amp; simple &lt;b&gt;", ["plain & simple <b>"]),
        ("<ul><li>a</li><li>b <i>c</i></li></ul>", ["a", "b c"]),
        ("<input type='checkbox' checked> yes <input type='checkbox'> no", ["☑ yes ☐ no"]),
        ("<p>seen<!-- unseen --></p><script>alert(1)</script><style>p{}</style>", ["seen"]),
        ("<p onclick=evil()>x</p><img src=http://evil/ onerror=y>", ["x"]),
        ("a\u200bb\U000e0041\U000e0042 c\x00d", ["ab c d"]),
        ("<p>never closed <b>at all", ["never closed at all"]),
        ("<table><tr><td>1</td><td>2</td></tr><tr><td>3</td></tr></table>", ["1 2", "3"]),
        ("<div><<<>>&#x110000;&#0;", ["<<<>>\ufffd\ufffd"]),
        ("", []),
    ],
)
def test_text_is_all_that_is_left_of_markup(html: str, lines: list[str]) -> None:
    assert text_lines(html) == lines


def test_cells_lie_where_a_browser_puts_them() -> None:
    table = table_of(
        "<table><caption>Tolls</caption><tr><th rowspan=2>A</th><th colspan=2>B</th></tr>"
        "<tr><td>C</td><td>D</td></tr><tr><td>E</td><td colspan=2><table><tr><td>F</td></tr></table>"
        "</td></tr></table>"
    )
    assert table is not None
    assert (table.row_count, table.column_count, table.outside) == (3, 3, ("Tolls",))
    assert [
        (cell.text, cell.row, cell.column, cell.row_span, cell.column_span) for cell in table.cells
    ] == [
        ("A", 0, 0, 2, 1),
        ("B", 0, 1, 1, 2),
        ("C", 1, 1, 1, 1),
        ("D", 1, 2, 1, 1),
        ("E", 2, 0, 1, 1),
        ("F", 2, 1, 1, 2),
    ]
    assert [cell.is_header for cell in table.cells] == [True, True, False, False, False, False]


@pytest.mark.parametrize(
    "html",
    [
        "<table>" + "<tr>" + "<td>x</td>" * 6000 + "</tr></table>",
        "<table><tr>" + "<td colspan=50>x" * 3 + "</table>",
        "<table></table>",
        "<p>none</p>",
    ],
)
def test_what_is_no_table_or_an_absurd_one_is_text(html: str) -> None:
    assert table_of(html) is None


def test_markup_that_is_made_to_take_long_does_not() -> None:
    began = time.process_time()
    for html in (
        "<div>" * 40_000,
        "<table><tr><td rowspan=999 colspan=999>" * 5_000,
        "<table>" + "<tr>" * 60_000,
        "<!" * 50_000,
        "&" * 100_000,
        "<td " + "a=1 " * 40_000,
        f"<table><tr><td colspan={'9' * 5000}>x</td></tr></table>",
    ):
        text_lines(html)
        table_of(html)
    assert time.process_time() - began < 20


def test_lines_share_their_blocks_room_and_keep_its_order() -> None:
    page = read(
        ("SectionHeader", "<h1>Of the market</h1>", (200, 100, 700, 150)),
        (
            "Text",
            f"<p>{'A long first paragraph. ' * 12}</p><p>A short one.</p>",
            (200, 200, 1000, 400),
        ),
    )
    tops = [line.bbox[1] for line in page.lines if line.bbox]
    assert tops == sorted(tops)
    heading, long, short = page.lines
    assert heading.bbox == (100, 50, 350, 75)
    assert long.bbox is not None
    assert short.bbox is not None
    assert long.bbox[3] - long.bbox[1] > 2 * (short.bbox[3] - short.bbox[1])
    assert long.bbox[3] == pytest.approx(short.bbox[1])
    assert short.bbox[3] == 200
    assert all(line.confidence == 0.9 for line in page.lines)


def test_a_paragraph_in_one_box_is_not_taken_for_a_heading() -> None:
    """Its box is as high as ten lines; of OCR the box's height else stands for the letters'."""
    page = read(
        ("SectionHeader", "<h1>Of the market</h1>", (200, 100, 700, 150)),
        ("Text", f"<p>{'It is held on Tuesdays. ' * 30}</p>", (200, 200, 1000, 480)),
        ("Text", f"<p>{'The toll is four pence. ' * 30}</p>", (200, 500, 1000, 780)),
    )
    labels = [(block.label.value, block.plain_text[:10]) for block in make_blocks([page])]
    assert labels == [("heading", "Of the mar"), ("text", "It is held"), ("text", "The toll i")]


def test_a_table_is_cells_on_the_page() -> None:
    page = read(
        ("Text", "before", (200, 100, 1000, 130)),
        (
            "Table",
            "<table><tr><th>Stall</th><th></th></tr><tr><td>Fish</td><td>4 d</td></tr></table>",
            (200, 200, 1000, 400),
        ),
    )
    (table,) = page.tables
    assert (table.first_line, table.line_count) == (1, 3)
    assert [(cell.row, cell.column, cell.first_line) for cell in table.cells] == [
        (0, 0, 1),
        (1, 0, 2),
        (1, 1, 3),
    ]
    assert table.cells[2].bbox == (300, 150, 500, 200)
    assert [block.label.value for block in make_blocks([page])][-1] == "table"


@pytest.mark.parametrize(
    "box",
    [
        (float("nan"), 0, 1, 1),
        (0, 0, float("inf"), 10),
        (5000, 5000, 6000, 6000),
        (700, 150, 200, 100),
        (10, 10, 10, 10),
    ],
)
def test_a_box_that_makes_no_sense_costs_no_text(box: tuple[float, float, float, float]) -> None:
    for label in ("Text", "Table", "Picture"):
        page = read((label, "<table><tr><td>kept</td></tr></table>", box))
        assert page.text == "kept"
        assert all(0 <= side <= 800 for line in page.lines for side in line.bbox or ())
