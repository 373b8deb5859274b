"""Where black is painted; and when a whole page goes because a place is not known."""

from api.redactions.places import places_on
from db.models import FindingRow, new_id
from muniment.contracts.documents import (
    MOST_HIDDEN_TEXTS,
    HiddenKind,
    HiddenText,
    Line,
    Page,
    PageSource,
)
from muniment.contracts.word_boxes import BoundingBox, pack_boxes

BOX = (10.0, 20.0, 110.0, 40.0)
WORDS = [(10.0, 20.0, 50.0, 40.0), (60.0, 20.0, 110.0, 40.0)]


def page(
    *, bbox: BoundingBox | None = BOX, word_boxes: str = "", hidden: tuple[HiddenText, ...] = ()
) -> Page:
    return Page(
        page=1,
        width=595,
        height=842,
        source=PageSource.TEXT,
        engine="x",
        text="call 12345",
        lines=(Line(text="call 12345", bbox=bbox, word_boxes=word_boxes),),
        hidden=hidden,
    )


def finding(start: int, end: int) -> FindingRow:
    return FindingRow(
        id=new_id(),
        tenant_id=new_id(),
        version_id=new_id(),
        kind="personal_data",
        entity="PHONE_NUMBER",
        page=1,
        start_offset=start,
        end_offset=end,
        score=0.5,
        recogniser="x",
    )


def test_the_words_that_hold_a_part_of_it_are_painted_over() -> None:
    (found,) = places_on(page(word_boxes=pack_boxes(WORDS, BOX)), [finding(7, 9)]) or []
    assert found[0] >= 59
    assert found[2] <= 111


def test_without_places_of_words_the_line_goes_and_without_those_the_page() -> None:
    assert places_on(page(), [finding(5, 10)]) == [BOX]
    assert places_on(page(bbox=None), [finding(5, 10)]) is None
    assert places_on(page(), [finding(5, 12)]) is None
    assert places_on(page(), [finding(20, 25)]) is None


def test_hidden_text_that_leaves_pixels_goes_too() -> None:
    tiny = HiddenText(kind=HiddenKind.TINY, text="12345", bbox=BOX)
    unseen = HiddenText(kind=HiddenKind.OFF_PAGE, text="12345", bbox=BOX)
    nowhere = HiddenText(kind=HiddenKind.SAME_COLOUR, text="12345")
    assert places_on(page(hidden=(tiny, unseen)), []) == [BOX]
    assert places_on(page(hidden=(nowhere,)), []) is None
    # Below it may lie the picture that it was read from; a picture that was read here was read.
    layer = HiddenText(kind=HiddenKind.INVISIBLE, text="12345", bbox=BOX)
    scanned = page(hidden=(layer,)).model_copy(update={"source": PageSource.OCR})
    assert places_on(page(hidden=(layer,)), []) == [BOX]
    assert places_on(scanned, []) == []
    assert places_on(page(hidden=(unseen,) * MOST_HIDDEN_TEXTS), []) is None
