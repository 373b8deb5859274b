"""Words that OCR read have their places in the line, whichever way the page was laid."""

import numpy
import pypdfium2
import pytest
from rapidocr.ch_ppocr_rec.typings import WordInfo

from activities.read.geometry import Box
from activities.read.ocr import RapidOcr
from activities.read.ocr_words import corners_of_word, spans_of_words
from activities.read.page_image import PageImage
from activities.read.recogniser import Words
from muniment.contracts.documents import BoundingBox, Page
from tests.activities.made_documents import pdf

DPI = 200
SENTENCES = [
    "Illicit willow mills fill the little village",
    "The keeper of the northern tower holds 1,204 keys",
    "Every deed, charter and seal lies in the muniment room",
    "A page that proves the answer is worth a thousand words",
]


@pytest.fixture(scope="module")
def ocr() -> RapidOcr:
    return RapidOcr()


@pytest.fixture(scope="module")
def printed() -> pypdfium2.PdfDocument:
    texts = [(72.0, 700.0 - 40 * row, 14.0, line) for row, line in enumerate(SENTENCES)]
    return pypdfium2.PdfDocument(pdf([texts]))


def scan(document: pypdfium2.PdfDocument, quarter_turns: int = 0) -> PageImage:
    """The first page, laid on the scanner so many quarters of a turn anticlockwise."""
    pixels = document[0].render(scale=DPI / 72).to_numpy()[:, :, :3]
    pixels = numpy.ascontiguousarray(numpy.rot90(pixels, quarter_turns))
    height, width = pixels.shape[:2]
    scale = DPI / 72
    return PageImage(pixels=pixels, scale=scale, width=width / scale, height=height / scale)


def true_boxes(document: pypdfium2.PdfDocument) -> dict[str, tuple[float, float]]:
    """Where each word begins and ends across the page, by the text layer: the longer words, each of
    which is there once."""
    page = document[0].get_textpage()
    text = page.get_text_range().replace("\r\n", "  ")
    places = {}
    for word in {word for line in SENTENCES for word in line.split() if len(word) > 4}:
        start = text.index(word)
        sides = [page.get_charbox(index) for index in range(start, start + len(word))]
        places[word] = (min(side[0] for side in sides), max(side[2] for side in sides))
    return places


def read_boxes(page: Page) -> dict[str, BoundingBox]:
    return {word.text: word.bbox for line in page.lines for word in line.words()}


def test_words_are_found_where_the_text_layer_has_them(
    ocr: RapidOcr, printed: pypdfium2.PdfDocument
) -> None:
    read = read_boxes(ocr.read(1, scan(printed)))
    truth = true_boxes(printed)
    assert len(truth) > 15
    for word, (left, right) in truth.items():
        x0, _, x1, _ = read[word]
        shared = min(right, x1) - max(left, x0)
        assert shared / (max(right, x1) - min(left, x0)) > 0.7, (word, (left, right), (x0, x1))


@pytest.mark.parametrize("quarter_turns", [1, 2, 3])
def test_words_of_a_turned_page_lie_where_the_page_has_them(
    ocr: RapidOcr, printed: pypdfium2.PdfDocument, quarter_turns: int
) -> None:
    upright = scan(printed)
    level = read_boxes(ocr.read(1, upright))
    turned = read_boxes(ocr.read(1, scan(printed, quarter_turns)))
    for word in true_boxes(printed):
        x0, y0, x1, y1 = level[word]
        x, y = (x0 + x1) / 2, (y0 + y1) / 2
        width, height = upright.width, upright.height
        for _ in range(quarter_turns):
            x, y = y, width - x
            width, height = height, width
        x0, y0, x1, y1 = turned[word]
        assert x0 - 2 <= x <= x1 + 2, word
        assert y0 - 2 <= y <= y1 + 2, word


def test_columns_that_do_not_fit_the_text_give_no_words() -> None:
    columns = WordInfo(words=[["a", "b"]], word_cols=[[3, 5]], line_txt_len=10)
    assert spans_of_words("a b", columns) == ((0.3, 0.4), (0.5, 0.6))
    assert spans_of_words("abc", columns) == ()
    assert spans_of_words("", WordInfo()) == ()


def test_a_word_alone_is_the_line() -> None:
    columns = WordInfo(words=[["W"]], word_cols=[[7]], line_txt_len=40)
    assert spans_of_words("W", columns) == ((0.0, 1.0),)


def test_wide_characters_reach_as_far_as_they_stand_apart() -> None:
    pieces = [["一"], ["二"], ["三"], ["四"]]
    columns = WordInfo(words=pieces, word_cols=[[4], [12], [20], [36]], line_txt_len=40)
    assert spans_of_words("一二三 四", columns) == ((0.0125, 0.6125), (0.8125, 1.0))


@pytest.mark.parametrize(
    ("upside_down", "first", "second"),
    [(False, (0, 0, 10, 50), (0, 50, 10, 100)), (True, (0, 50, 10, 100), (0, 0, 10, 50))],
)
def test_words_of_a_line_that_runs_down_or_up(
    upside_down: bool, first: BoundingBox, second: BoundingBox
) -> None:
    words = Words(((0.0, 0.5), (0.5, 1.0)), tall=True, upside_down=upside_down)
    places = words.places([(0.0, 0.0), (10.0, 0.0), (10.0, 100.0), (0.0, 100.0)])
    around = [Box.around([(x, y) for x, y in each]) for each in places]
    assert [(box.left, box.top, box.right, box.bottom) for box in around] == [first, second]


def test_a_word_is_a_part_of_a_sloping_line() -> None:
    line = [(0.0, 0.0), (100.0, 50.0), (100.0, 60.0), (0.0, 10.0)]
    assert corners_of_word(line, (0.5, 1.0)) == ((50, 25), (100, 50), (100, 60), (50, 35))
