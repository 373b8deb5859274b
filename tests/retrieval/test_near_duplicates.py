"""Which passages say the same."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.near_duplicates import Said

NOTICE = (
    "The tenant shall give notice in writing three months before the end of the term; the notice is"
    " delivered to the landlord's office, where it is entered into the book of leases and confirmed by"
    " letter. A notice that comes late is taken as given for the end of the term that follows."
)


def same(one: str, other: str) -> bool:
    return Said.of((), one) == Said.of((), other)


def test_case_space_and_punctuation_do_not_count() -> None:
    assert same(NOTICE, "  " + NOTICE.upper().replace(" ", "\n") + "!")
    assert same("ﬁnal", "FINAL")
    assert same("the har-\nbour", "the harbour")
    assert same("| a | b |", "a b")


def test_letters_that_scans_take_for_one_another_do_not_count() -> None:
    assert same(NOTICE, NOTICE.replace("leases", "ieases").replace("term", "terrn"))


def test_words_that_a_scan_tore_apart_do_not_matter() -> None:
    assert same(NOTICE, NOTICE.replace("land", "la nd").replace("month", "mon th"))


@pytest.mark.parametrize(
    ("word", "other"),
    [
        ("shall", "shall not"),
        ("The tenant", "The landlord"),
        ("office", "offices"),
        ("late", "later"),
        ("before", "after"),
        ("is taken", "is not not taken"),
    ],
)
def test_one_word_makes_it_another_however_long_it_is(word: str, other: str) -> None:
    assert not same(NOTICE * 5, (NOTICE * 5).replace(word, other, 1))


@pytest.mark.parametrize(
    ("figure", "other"),
    [
        ("1,200", "1,300"),
        ("1.5", "15"),
        ("-5", "5"),
        ("(5)", "5"),
        ("$5", "€5"),
        ("< 5", "> 5"),
        ("5 %", "5"),
        ("2023-Q1", "2023-Q2"),
        ("1 23", "12 3"),
    ],
)
def test_a_figure_that_differs_makes_it_another(figure: str, other: str) -> None:
    assert not same(f"{NOTICE} The rent is {figure} more.", f"{NOTICE} The rent is {other} more.")


def test_headings_belong_to_what_is_said() -> None:
    one, other = (Said.of((heading,), "Not applicable.") for heading in ("Liability", "Insurance"))
    assert one != other


def test_any_script() -> None:
    chinese = "迟到的通知视为下一租期结束时发出"
    assert same(chinese, chinese + "。")
    assert not same(chinese, chinese.replace("视为", "不视为"))
    assert not same("दिन", "दान"), "signs of vowels are letters"


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=60))
def test_of_any_text(text: str) -> None:
    assert same(text, f" {text} ")
