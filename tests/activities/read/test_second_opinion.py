"""Words that docling-parse decoded wrongly, beside what pdfium sees in their places."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pypdfium2
import pytest

from activities.read.geometry import Box
from activities.read.second_opinion import SecondOpinion
from activities.read.words import Style, Word
from tests.activities.drawn_pdf import HEBREW, drawn_pdf, shown
from tests.activities.read.test_text_layer import read

SIZE = 11.0


@contextmanager
def opinion_of(*drawn: str, page_entries: str = "") -> Iterator[SecondOpinion]:
    data = drawn_pdf(["\n".join(drawn)], page_entries=page_entries)
    with pypdfium2.PdfDocument(data) as document:
        page = document[0]
        yield SecondOpinion(page, page.get_textpage())


def word(text: str, x: float, y: float, width: float) -> Word:
    """As high as its line, from a baseline's start in the page's own space."""
    top = 842 - y - SIZE
    return Word(text, Box(x, top, x + width, top + SIZE + 3), Style(SIZE))


@pytest.mark.parametrize(
    ("decoded", "drawn", "width"),
    [
        ("Manu\ufffdacturing", "Manufacturing", 72),
        ("di\ufffdcult", "difficult", 45),
        ("De치ense", "Defense", 42),
        ("Òoctopus", r"\223octopus", 48),
        ("cablesÓ", r"cables\224", 42),
        ("¥", r"\225", 5),
        ("1998Ð2004", r"1998\2262004", 56),
        ("Fѡrst", "First", 25),
    ],
)
def test_what_cannot_be_right_is_taken_from_pdfium(decoded: str, drawn: str, width: float) -> None:
    with opinion_of(shown(50, 700, drawn), shown(50 + width + 8, 700, "beside")) as opinion:
        (corrected,) = opinion.corrected([word(decoded, 50, 700, width)])
    expected = drawn.encode().decode("unicode_escape").encode("latin-1").decode("cp1252")
    assert corrected.text == expected


@pytest.mark.parametrize("text", ["École", "ÑANDÚ", "¿Qué?", "5¥", "Œuvre"])
def test_words_that_may_be_right_stay(text: str) -> None:
    drawn = text.encode("cp1252").decode("latin-1").encode("unicode_escape").decode()
    octal = "".join(c if c.isascii() else f"\\{ord(c):03o}" for c in drawn)
    with opinion_of(shown(50, 700, octal)) as opinion:
        (kept,) = opinion.corrected([word(text, 50, 700, 60)])
    assert kept.text == text


def test_an_unknown_character_stays_where_pdfium_sees_another_word() -> None:
    with opinion_of(shown(50, 700, "otherwise")) as opinion:
        (kept,) = opinion.corrected([word("Manu\ufffdacturing", 50, 700, 60)])
    assert kept.text == "Manu\ufffdacturing"


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_places_are_found_on_cropped_and_turned_pages(rotation: int) -> None:
    data = drawn_pdf(
        [shown(100, 700, "Defense")],
        page_entries=f"/CropBox[40 40 555 802]/Rotate {rotation}",
    )
    with pypdfium2.PdfDocument(data) as document:
        page = document[0]
        text_page = page.get_textpage()
        width, height = page.get_size()
        whole = Word("De치ense", Box(0, 0, width, height), Style(SIZE))
        (corrected,) = SecondOpinion(page, text_page).corrected([whole])
    assert corrected.text == "Defense"


def test_a_page_of_letters_that_pdfium_sees_nowhere_is_left_to_it() -> None:
    decoded = [word("瑥硴ㄱ", 50, 700 - 20 * row, 40) for row in range(6)]
    with opinion_of(*(shown(50, 700 - 20 * row, f"text{row}") for row in range(6))) as opinion:
        assert opinion.contradicts(decoded)
        assert not opinion.contradicts(decoded[:2])


def test_a_page_of_which_pdfium_sees_less_is_kept() -> None:
    words = [word("上海证券交易所有限公司", 50, 700 - 20 * row, 90) for row in range(6)]
    with opinion_of(shown(50, 700, "306")) as opinion:
        assert not opinion.contradicts(words)


def test_letters_in_another_order_are_no_contradiction() -> None:
    words = [word(HEBREW[4::-1], 50, 700 - 20 * row, 40) for row in range(6)]
    drawn = [shown(50, 700 - 20 * row, "abcde", font="F4") for row in range(6)]
    with opinion_of(*drawn) as opinion:
        assert not opinion.contradicts(words)


def test_a_real_page_with_glyphs_outside_its_fonts_maps(shared_data: Path) -> None:
    path = next((shared_data / "documents").rglob("*skipped_1page.pdf"))
    text = "\n".join(page.text for page in read(path.read_bytes()))
    for expected in ("블록체인", "엣지컴퓨팅", "차세대", "초연결", "Interfaces"):
        assert expected in text
