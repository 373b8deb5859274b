"""What is read of born-digital pages: order, tables, words, and text that nobody sees."""

import random
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import pypdfium2
import pytest

from activities.inspect.calls import InspectRequest
from activities.inspect.engine import inspect
from activities.read.calls import ReadProgress, ReadRequest
from activities.read.engine import read_text
from activities.read.geometry import Box
from activities.read.pdfium_page import pdfium_content
from activities.read.unseen_characters import without_unseen
from activities.read.vertical import with_vertical_runs
from activities.read.words import Style, Word
from activities.sandbox.registry import EngineContext
from muniment.contracts.documents import HiddenKind, Page
from tests.activities.drawn_pdf import HEBREW, drawn_pdf, ruled, shown
from tests.activities.made_documents import in_memory, unheard

VOCABULARY = (
    "charter deed seal wax ribbon parchment vellum ink quill clerk abbey manor court roll grant lease"
    " witness scribe bishop county shire tenant fee knight service rent harvest mill river"
)


def read(data: bytes) -> list[Page]:
    """Every page by its text layer, whatever a plan would say."""
    request = InspectRequest(declared_media_type="", name="a.pdf")
    plan = inspect(request, EngineContext(in_memory(data), unheard))
    pages: list[Page] = []

    def take(progress: object) -> None:
        assert isinstance(progress, ReadProgress)
        assert progress.page is not None
        pages.append(progress.page)

    numbers = tuple(page.page for page in plan.pages)
    asked = ReadRequest(media_type=plan.media_type, family=plan.family, pages=numbers)
    read_text(asked, EngineContext(in_memory(data), take))
    return pages


def column_lines(columns: int, rows: int = 24) -> list[list[str]]:
    """Prose in columns, no line of which is like another."""
    words = VOCABULARY.split()
    words_in_line = {1: 12, 2: 6, 3: 4}[columns]
    return [
        [
            " ".join(
                words[(7 * column + 5 * row + place * place) % len(words)]
                for place in range(words_in_line)
            )
            + f" {column}-{row}"
            for row in range(rows)
        ]
        for column in range(columns)
    ]


def placed(columns: Sequence[Sequence[str]]) -> list[list[str]]:
    width = 500 / len(columns)
    return [
        [shown(50 + column * width, 780 - 14 * row, text, size=9) for row, text in enumerate(lines)]
        for column, lines in enumerate(columns)
    ]


def column_by_column(drawn: list[list[str]]) -> list[str]:
    return [line for column in drawn for line in column]


def row_by_row(drawn: list[list[str]]) -> list[str]:
    return [line for row in zip(*drawn, strict=True) for line in row]


def shuffled(drawn: list[list[str]]) -> list[str]:
    lines = column_by_column(drawn)
    return [lines[(position * 29 + 5) % len(lines)] for position in range(len(lines))]


@pytest.mark.parametrize("columns", [1, 2, 3])
@pytest.mark.parametrize("painted", [column_by_column, row_by_row, shuffled])
def test_columns_are_read_one_after_the_other(
    columns: int, painted: Callable[[list[list[str]]], list[str]]
) -> None:
    lines = column_lines(columns)
    (page,) = read(drawn_pdf(["\n".join(painted(placed(lines)))]))
    assert page.text.split() == " ".join(line for column in lines for line in column).split()


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_turned_page_reads_as_any_other(degrees: int) -> None:
    lines = column_lines(2)
    stream = "\n".join(row_by_row(placed(lines)))
    (page,) = read(drawn_pdf([stream], page_entries=f"/Rotate {degrees}"))
    assert page.text.split() == " ".join(line for column in lines for line in column).split()
    boxes = [word.bbox for line in page.lines for word in line.words()]
    assert all(
        0 <= x0 < x1 <= page.width and 0 <= y0 < y1 <= page.height for x0, y0, x1, y1 in boxes
    )


def test_text_along_the_margin_follows_the_body() -> None:
    body = [shown(120, 700 - 14 * row, f"line {row} of the charter") for row in range(8)]
    margin = "BT /F1 9 Tf 0 1 -1 0 40 300 Tm (copied by hand) Tj ET"
    (page,) = read(drawn_pdf(["\n".join([*body[:4], margin, *body[4:]])]))
    assert page.text.splitlines()[-1] == "copied by hand"
    assert page.text.splitlines()[:8] == [f"line {row} of the charter" for row in range(8)]


def test_every_word_has_its_box() -> None:
    (page,) = read(drawn_pdf([shown(100, 700, "Kept in the room", size=20)]))
    (line,) = page.lines
    words = line.words()
    assert [word.text for word in words] == ["Kept", "in", "the", "room"]
    assert words[0].bbox[0] == pytest.approx(100, abs=1.5)
    # Helvetica's widths: K 667, e 556, p 556, t 278 thousandths of the em.
    assert words[0].bbox[2] == pytest.approx(100 + 20 * 2.057, abs=1.5)
    assert [a.bbox[2] <= b.bbox[0] for a, b in pairwise(words)] == [True] * 3
    assert all(115 < word.bbox[1] < word.bbox[3] < 150 for word in words)
    assert line.font_size == 20


def hebrew(letters: str) -> str:
    return "".join(HEBREW[ord(letter) - ord("a")] for letter in letters)


def test_right_to_left_text_is_in_logical_order() -> None:
    """Each word is painted as it looks, its last letter first; figures and Latin words stay."""
    stream = "\n".join(
        [
            shown(225, 700, "1215 AD"),
            shown(300, 700, "gba", font="F4"),
            shown(278, 700, "hed", font="F4"),
        ]
    )
    (page,) = read(drawn_pdf([stream]))
    assert page.text == f"{hebrew('abg')} {hebrew('deh')} 1215 AD"
    first, second, year, _ = page.lines[0].words()
    assert first.bbox[0] > second.bbox[2] > year.bbox[2]


WIDTHS = {"a": 556, "d": 556, "e": 556, "n": 556, "o": 556, "q": 556, "s": 500, "u": 556}
"""Of Helvetica, in thousandths of an em."""


def hebrew_columns(columns: int, rows: int = 20) -> list[list[tuple[str, str]]]:
    """Lines of columns from the right: how each is painted, a word after the other, and its text."""
    chosen = random.Random(columns)  # noqa: S311 - the same words in every run
    width = 520 / columns - 20
    drawn = []
    for column in range(columns):
        drawn.append([])
        for row in range(rows):
            x, painted, words = 560 - column * (width + 20), [], []
            while True:
                word = "".join(chosen.choices("adenoqsu", k=chosen.randint(2, 6)))
                x -= sum(WIDTHS[letter] for letter in word) * 11 / 1000
                if x < 560 - column * (width + 20) - width:
                    break
                painted.append(shown(x, 750 - 16 * row, word, font="F4"))
                words.append(hebrew(word[::-1]))
                x -= 3
            drawn[column].append(("\n".join(painted), " ".join(words)))
    return drawn


@pytest.mark.parametrize("columns", [2, 3])
@pytest.mark.parametrize("painted", ["by columns", "by rows", "left column first"])
def test_columns_of_right_to_left_text_are_read_from_the_right(columns: int, painted: str) -> None:
    drawn = hebrew_columns(columns)
    if painted == "by columns":
        lines = [line for column in drawn for line in column]
    elif painted == "by rows":
        lines = [line for row in zip(*drawn, strict=True) for line in row]
    else:
        lines = [line for column in reversed(drawn) for line in column]
    (page,) = read(drawn_pdf(["\n".join(stream for stream, _ in lines)]))
    assert page.text.splitlines() == [text for column in drawn for _, text in column]


def test_vertical_columns_are_lines_from_the_right(shared_data: Path) -> None:
    pages = read((shared_data / "documents/pdf-digital/vertical.pdf").read_bytes())
    first, second = pages[0].lines
    assert (first.text, second.text) == ("あいうえお", "日本語")
    assert first.bbox is not None
    assert second.bbox is not None
    assert first.bbox[0] > second.bbox[2]
    assert first.bbox[3] - first.bbox[1] > 4 * (first.bbox[2] - first.bbox[0])


def characters(text: str, pitch: float) -> list[Word]:
    return [
        Word(letter, Box(100, 50 + pitch * place, 110, 60 + pitch * place), Style(10))
        for place, letter in enumerate(text)
    ]


@pytest.mark.parametrize(
    ("text", "pitch", "read_as"),
    [
        ("縦書きの例", 11.0, ["縦書きの例"]),
        ("第12条、", 10.0, ["第12条、"]),
        ("有無有無", 16.0, list("有無有無")),
        ("1234", 10.0, list("1234")),
    ],
    ids=["column", "with figures", "rows of a table", "figures alone"],
)
def test_what_stands_closely_below_each_other_is_a_column(
    text: str, pitch: float, read_as: list[str]
) -> None:
    assert [word.text for word in with_vertical_runs(characters(text, pitch))] == read_as


def visible() -> list[str]:
    return [shown(72, 700 - 14 * row, f"seen line {row}") for row in range(6)]


@pytest.mark.parametrize(
    ("kind", "drawn"),
    [
        (HiddenKind.INVISIBLE, f"3 Tr {shown(72, 500, 'obey my orders')} 0 Tr"),
        (HiddenKind.SAME_COLOUR, f"1 g {shown(72, 500, 'obey my orders')} 0 g"),
        (
            HiddenKind.SAME_COLOUR,
            f".2 .3 .4 rg 60 480 300 60 re f {shown(72, 500, 'obey my orders')} 0 g",
        ),
        (HiddenKind.TINY, shown(72, 500, "obey my orders", size=1)),
        (HiddenKind.OFF_PAGE, shown(700, 500, "obey my orders")),
    ],
    ids=["invisible", "white on white", "blue on blue", "tiny", "off the page"],
)
def test_hidden_text_is_marked_and_kept_out(kind: HiddenKind, drawn: str) -> None:
    (page,) = read(drawn_pdf(["\n".join([*visible(), drawn])]))
    assert page.text.splitlines() == [f"seen line {row}" for row in range(6)]
    (hidden,) = page.hidden
    assert hidden.kind is kind
    assert hidden.text == "obey my orders"
    assert (hidden.bbox is None) is (kind is HiddenKind.OFF_PAGE)


def test_white_text_on_a_dark_ground_is_read() -> None:
    drawn = f"0 g 60 480 300 60 re f 1 g {shown(72, 500, 'a banner')} 0 g"
    (page,) = read(drawn_pdf(["\n".join([*visible(), drawn])]))
    assert "a banner" in page.text
    assert page.hidden == ()


def test_a_layer_of_invisible_text_alone_is_all_there_is_to_read() -> None:
    (page,) = read(drawn_pdf([f"3 Tr {shown(72, 500, 'what a recogniser read')}"]))
    assert page.text == "what a recogniser read"
    assert page.hidden == ()


def test_characters_without_width_carry_no_message() -> None:
    told = "".join(chr(0xE0000 + ord(letter)) for letter in "obey")
    assert without_unseen(f"wa{told}x") == ("wax", "obey")
    assert without_unseen("exam\u200bple\u00ad") == ("example", "")
    assert without_unseen("می\u200cخواهم")[0] == "می\u200cخواهم"
    assert without_unseen("abc\u202edef") == ("abcdef", "<U+202E>")


CELLS = [["Deed", "Year", "Seal"], ["Grant of land", "1215", "red"], ["Lease", "1301", "green"]]


def table_text(top: float, columns: Sequence[float] = (80, 230, 330)) -> list[str]:
    return [
        shown(x, top - 20 * row, text)
        for row, cells in enumerate(CELLS)
        for x, text in zip(columns, cells, strict=True)
    ]


def cells_of(page: Page) -> list[list[str]]:
    (table,) = page.tables
    grid = [[""] * table.column_count for _ in range(table.row_count)]
    for cell in table.cells:
        lines = page.lines[cell.first_line : cell.first_line + cell.line_count]
        grid[cell.row][cell.column] = " ".join(line.text for line in lines)
    return grid


def test_a_ruled_table_has_its_cells() -> None:
    across = [ruled(70, y, 400, y) for y in (716, 696, 676, 656)]
    down = [ruled(x, 716, x, 656) for x in (70, 220, 320, 400)]
    stream = [*across, *down, *table_text(702), shown(72, 600, "What follows the table.")]
    (page,) = read(drawn_pdf(["\n".join(stream)]))
    assert cells_of(page) == CELLS
    assert [cell.is_header for cell in page.tables[0].cells] == [True] * 3 + [False] * 6
    assert page.text.splitlines()[-1] == "What follows the table."
    assert page.text.splitlines()[:3] == CELLS[0]


def test_sides_that_are_not_drawn_are_taken_from_the_rules() -> None:
    across = [ruled(70, y, 400, y) for y in (716, 696, 676, 656)]
    down = [ruled(x, 716, x, 656) for x in (220, 320)]
    (page,) = read(drawn_pdf(["\n".join([*across, *down, *table_text(702)])]))
    assert cells_of(page) == CELLS


def test_a_cell_over_two_columns_spans_them() -> None:
    across = [ruled(70, y, 400, y) for y in (736, 716, 696, 676, 656)]
    down = [ruled(70, 736, 70, 656), ruled(400, 736, 400, 656), ruled(220, 736, 220, 656)]
    stream = [*across, *down, ruled(320, 716, 320, 656), *table_text(702)]
    stream += [shown(80, 722, "Kind"), shown(230, 722, "When and how")]
    (page,) = read(drawn_pdf(["\n".join(stream)]))
    (table,) = page.tables
    assert (table.row_count, table.column_count) == (4, 3)
    assert [(cell.column, cell.column_span) for cell in table.cells[:2]] == [(0, 1), (1, 2)]


def test_a_table_between_rules_needs_no_verticals() -> None:
    across = [ruled(70, y, 400, y) for y in (716, 696, 656)]
    (page,) = read(drawn_pdf(["\n".join([*across, *table_text(702)])]))
    assert cells_of(page) == CELLS


def test_figures_below_each_other_are_a_table() -> None:
    rows = [("Mills", "12", "1,400"), ("Manors", "7", "980"), ("Rivers", "3", "2,115")]
    stream = [
        shown(x, 700 - 16 * row, text)
        for row, cells in enumerate(rows)
        for x, text in zip((80, 250, 350), cells, strict=True)
    ]
    stream.append(
        shown(80, 500, "Prose that comes after all of the figures, in a line of its own.")
    )
    (page,) = read(drawn_pdf(["\n".join(stream)]))
    assert cells_of(page) == [list(row) for row in rows]


def test_framed_code_and_columns_of_prose_are_no_tables() -> None:
    code = [
        shown(80, 700 - 12 * row, f"seal[{row}] = wax({row})", font="F3", size=9)
        for row in range(6)
    ]
    frame = [ruled(70, y, 400, y) for y in (716, 620)] + [ruled(x, 716, x, 620) for x in (70, 400)]
    (page,) = read(drawn_pdf(["\n".join([*frame, *code])]))
    assert page.tables == ()
    assert all(line.monospace for line in page.lines)
    (prose,) = read(drawn_pdf(["\n".join(row_by_row(placed(column_lines(2))))]))
    assert prose.tables == ()


def test_raised_and_lowered_marks_stay_in_their_line() -> None:
    stream = (
        "BT /F1 11 Tf 72 700 Td (The area is 12 m) Tj /F1 7 Tf 5 Ts (2) Tj"
        " /F1 11 Tf 0 Ts ( and the witness) Tj /F1 7 Tf 5 Ts (3) Tj /F1 11 Tf 0 Ts ( signed.) Tj ET"
    )
    (page,) = read(drawn_pdf([stream]))
    assert page.text == "The area is 12 m2 and the witness 3 signed."


def test_pages_carry_their_printed_numbers() -> None:
    labels = "/PageLabels<</Nums[0<</S/r>>2<</S/D/St 1>>]>>"
    pages = read(drawn_pdf([shown(72, 700, "text")] * 4, catalogue_entries=labels))
    assert [page.label for page in pages] == ["i", "ii", "1", "2"]


def test_words_of_pdfium_stand_on_their_lines_and_divided_ones_stay_divided() -> None:
    drawn = [
        shown(50, 700, "The greengrocer displays a sign in his shop: Work-"),
        shown(50, 680, "ers of the world, unite, though he gave it no"),
        shown(50, 660, "thought at all."),
    ]
    with pypdfium2.PdfDocument(drawn_pdf(["\n".join(drawn)])) as document:
        words = pdfium_content(document[0]).words
    tops = {word.text: round(word.box.top) for word in words}
    assert tops["sign"] == tops["Work-"] < tops["ers"] == tops["unite,"] < tops["thought"]
    assert [word.text for word in words][-3:] == ["thought", "at", "all."]
    assert all(word.box.height == pytest.approx(11, abs=0.1) for word in words)
