"""Words found again in another reading, or not at all: the decisions alone."""

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.contracts.documents import Line
from muniment.contracts.word_boxes import pack_boxes
from retrieval.anchors.boxes import boxes_of, words_in
from retrieval.anchors.folding import fold, fold_with_offsets
from retrieval.anchors.matching import Finder, Place
from retrieval.anchors.quotes import Quote, StandTooOften, locate, quote_at, whole_words

WORDS = [
    "lease",
    "mill",
    "registered",
    "under",
    "number",
    "clerk",
    "holds",
    "one",
    "key",
    "charter",
    "oak",
    "chest",
    "borough",
    "room",
]


def prose(seed: object, count: int = 150) -> str:
    chosen = random.Random(str(seed))  # noqa: S311 - words, no secrets
    return " ".join(f"{chosen.choice(WORDS)}{chosen.randrange(60)}" for _ in range(count))


def finder_of(present: list[str], former: list[str]) -> Finder:
    return Finder(
        *({n: fold(text) for n, text in enumerate(each, 1)} for each in (present, former))
    )


def quoted(pages: list[str], page: int, exact: str) -> Quote:
    (found,) = locate(page, pages[page - 1], exact)
    return found


def shown(place: Place | None, pages: list[str]) -> str | None:
    if place is None:
        return None
    text = pages[place.page - 1]
    return text[slice(*fold_with_offsets(text).stretch(place.start, place.end))]


@given(st.text())
def test_every_folded_letter_knows_where_it_came_from(text: str) -> None:
    folded = fold_with_offsets(text)
    assert folded.text == fold(text)
    assert len(folded.offsets) == len(folded.text)
    assert list(folded.offsets) == sorted(folded.offsets)
    assert all(offset < len(text) for offset in folded.offsets)
    assert not any(letter.isspace() for letter in folded.text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("termi-\nnated", "terminated"),
        ("a  b\tc\r\n", "abc"),
        ("ﬁnal", "final"),
        ("caf\u00e9", "cafe\u0301"),
        ("‘it’s’ “so” – or", "'it's' \"so\" - or"),
        ("soft\u00adhyphen", "softhyphen"),
    ],
)
def test_layout_and_writing_make_no_difference(one: str, other: str) -> None:
    assert fold(one) == fold(other)


def test_a_hyphen_within_a_line_stays() -> None:
    assert fold("well-known") == "well-known"


@given(st.text(alphabet="ab- \n", min_size=1, max_size=60), st.data())
def test_what_is_quoted_is_found_where_it_was(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    found = quote_at(1, text, start, end)
    if found is not None:
        assert text[found.start : found.end] == found.exact
        assert found in locate(1, text, found.exact, start=found.start)
        assert 0 <= found.occurrence < found.occurrences


PAGES = [prose(number) for number in range(6)]


def test_inserted_and_removed_pages_shift_the_rest() -> None:
    present = [PAGES[0], prose("new"), *PAGES[1:3], *PAGES[4:]]
    finder = finder_of(present, PAGES)
    for page, now_on in ((1, 1), (2, 3), (3, 4), (4, None), (5, 5), (6, 6)):
        exact = " ".join(PAGES[page - 1].split()[40:46])
        place = finder.find(quoted(PAGES, page, exact))
        assert (place.page if place else None) == now_on
        assert shown(place, present) in (exact, None)


def test_changed_words_are_found_by_comparing_the_pages_and_say_how_alike_they_are() -> None:
    words = PAGES[2].split()
    exact = " ".join(words[70:80])
    words[74] = "amended"
    present = [*PAGES[:2], " ".join(words), *PAGES[3:]]
    place = finder_of(present, PAGES).find(quoted(PAGES, 3, exact))
    assert place is not None
    assert 0.8 < place.score < 1
    assert shown(place, present) == " ".join(words[70:80])


def test_a_line_among_lines_that_are_nearly_the_same_is_not_taken_for_another() -> None:
    lines = [f"Row {n}: the rent is {n}0 pounds, to be paid in May." for n in range(1, 9)]
    former = ["\n".join(lines)]
    present = ["\n".join(line for line in lines if not line.startswith("Row 4"))]
    finder = finder_of(present, former)
    assert finder.find(quoted(former, 1, "Row 4: the rent is 40 pounds")) is None
    place = finder.find(quoted(former, 1, "the rent is 50 pounds"))
    assert shown(place, present) == "the rent is 50 pounds"


def test_the_same_clause_of_another_page_is_not_taken_for_one_that_went() -> None:
    clause = "This agreement may be terminated by either party at six months' notice."
    former = [f"{prose(n)} {clause} {prose(n + 10)}" for n in range(3)]
    present = [former[0], former[2]]
    assert finder_of(present, former).find(quoted(former, 2, clause)) is None
    changed = [former[0], former[1].replace("six", "three"), former[2]]
    place = finder_of(changed, former).find(quoted(former, 2, clause))
    assert shown(place, changed) == clause.replace("six", "three")


def test_words_that_went_to_another_page_are_believed_in_their_context_alone() -> None:
    words = PAGES[0].split()
    exact = " ".join(words[135:145])
    present = [" ".join(words[:100]), " ".join([*words[100:], PAGES[1]]), *PAGES[2:]]
    place = finder_of(present, PAGES).find(quoted(PAGES, 1, exact))
    assert shown(place, present) == exact
    assert place is not None
    assert place.page == 2
    alone = [" ".join(words[:100]), f"{prose('x')} {exact} {prose('y')}", *PAGES[1:]]
    assert finder_of(alone, PAGES).find(quoted(PAGES, 1, exact)) is None


def test_twin_pages_keep_nobody_guessing() -> None:
    former = [PAGES[0], PAGES[1], PAGES[0]]
    exact = " ".join(PAGES[0].split()[10:16])
    for present in ([PAGES[1], PAGES[0], PAGES[0]], [PAGES[1], PAGES[0]]):
        assert finder_of(present, former).find(quoted(former, 1, exact)) is None


def test_a_page_read_anew_is_looked_through_and_no_other() -> None:
    misread = PAGES[0].replace("e", "c", 9)
    exact = " ".join(PAGES[0].split()[0:6])
    finder = finder_of([misread, PAGES[0]], [])
    place = finder.find(quoted(PAGES, 1, exact), only_on=1)
    assert place is not None
    assert place.page == 1
    assert (
        finder_of([prose("other"), PAGES[0]], []).find(quoted(PAGES, 1, exact), only_on=1) is None
    )
    assert finder_of([], []).find(quoted(PAGES, 1, exact), only_on=1) is None


def test_changed_words_are_shown_whole() -> None:
    text = "the amended lease"
    assert text[slice(*whole_words(text, 6, 15))] == "amended lease"
    assert text[slice(*whole_words(text, 6, 14))] == "amended"
    assert text[slice(*whole_words(text, 10, 17))] == "lease"
    assert text[slice(*whole_words(text, 7, 8))]


LINE = Line(
    text="one two three",
    bbox=(0, 0, 130, 10),
    word_boxes=pack_boxes([(0, 0, 30, 10), (40, 0, 70, 10), (80, 0, 130, 10)], (0, 0, 130, 10)),
)
SECOND = Line(text="four", bbox=(0, 20, 40, 30))


def test_boxes_are_those_of_the_words_where_they_are_known_else_of_the_lines() -> None:
    text = "one two three\nfour"
    ((x0, _, x1, _), second) = boxes_of(text, [LINE, SECOND], 4, 18)
    assert (round(x0), round(x1), second) == (40, 130, SECOND.bbox)
    assert boxes_of(text, [Line(text="one two three")], 0, 3) == []
    assert words_in(text, [LINE, SECOND], (35, 0, 200, 12)) == (4, 13)
    assert words_in(text, [LINE, SECOND], (200, 0, 210, 12)) is None


@pytest.mark.parametrize("run", ["\n", "\n ", " \n"])
def test_empty_lines_behind_a_hyphen_are_passed_over_at_once(run: str) -> None:
    begun = time.process_time()
    assert fold("a-" + run * 500_000 + ".") == "a-."
    assert time.process_time() - begun < 2


def test_a_hyphen_before_empty_lines_still_goes() -> None:
    assert fold("regis- \n\n tered") == "registered"


def test_thousands_of_pages_are_told_apart_in_time() -> None:
    letters = random.Random("pages")  # noqa: S311 - words, no secrets
    former = [f"{letters.randbytes(150).hex()} {prose(number, 5)}" for number in range(1_500)]
    present = [f"{page} and one line more" for page in reversed(former)]
    begun = time.process_time()
    place = finder_of(present, former).find(quoted(former, 7, former[6][140:240]))
    assert time.process_time() - begun < 10
    assert place is not None
    assert place.page == len(former) - 6


def test_many_quotes_of_a_page_compare_it_once() -> None:
    former = [prose("many", 2_400)[:17_000]]
    present = [former[0].replace("mill7 ", "deed7 ")]
    finder = finder_of(present, former)
    begun = time.process_time()
    quotes = [quoted(former, 1, former[0][start : start + 120]) for start in range(0, 16_000, 80)]
    found = [finder.find(quote) for quote in quotes]
    assert sum(place is not None for place in found) > 150
    assert time.process_time() - begun < 10


def test_long_words_on_a_page_read_anew_are_not_guessed() -> None:
    former = [prose("long", 900)]
    quote = quoted(former, 1, former[0][500:5_000])
    present = [former[0].replace("1", "l")]
    begun = time.process_time()
    assert finder_of(present, present).find(quote, only_on=1) is None
    assert time.process_time() - begun < 1


def test_words_that_stand_everywhere_are_not_counted_to_the_end() -> None:
    begun = time.process_time()
    with pytest.raises(StandTooOften):
        locate(1, "a" * 200_000, "a" * 5_000)
    assert quote_at(1, "a" * 200_000, 0, 5_000) is None
    assert time.process_time() - begun < 2
