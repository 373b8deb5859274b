"""Which passages say the same."""

from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.near_duplicates import Asked, Said, says_the_same

NOTICE = (
    "The tenant shall give notice in writing three months before the end of the term; the notice is"
    " delivered to the landlord's office, where it is entered into the book of leases and confirmed by"
    " letter. A notice that comes late is taken as given for the end of the term that follows."
)


def same(one: str, other: str, query: str = "", *beginnings: str) -> bool:
    return says_the_same(Said.of((), one), Said.of((), other), Asked.of(query, beginnings))


def test_case_space_and_punctuation_do_not_count() -> None:
    assert same(NOTICE, "  " + NOTICE.upper().replace(" ", "\n") + "!")
    assert same("ﬁnal", "FINAL")


def test_a_scan_of_it_with_a_few_letters_wrong_says_the_same() -> None:
    assert same(NOTICE, NOTICE.replace("leases", "ieases"))


def test_a_figure_that_differs_makes_it_another() -> None:
    quarter = NOTICE + " The rent is 1,200 guilders."
    assert not same(quarter, quarter.replace("1,200", "1,300"))
    assert not same("2023-Q1 " + NOTICE, "2023-Q2 " + NOTICE)


def test_a_word_that_was_asked_for_makes_it_another() -> None:
    other = NOTICE.replace("office", "offices")
    assert same(NOTICE, other, "how is it delivered")
    assert not same(NOTICE, other, "which offices confirm")
    assert not same(NOTICE, other, "delivered", "OFFI")
    assert same(NOTICE, other, "delivered", "lette")
    assert not same(NOTICE, NOTICE.replace("landlord", "caretaker"))


def test_short_passages_are_the_same_only_where_nothing_differs() -> None:
    assert same("Not applicable.", "not applicable")
    assert not same("The lease is valid.", "The lease is invalid.")
    assert not same("", "")


def test_headings_belong_to_what_is_said() -> None:
    one, other = (Said.of((heading,), "Not applicable.") for heading in ("Liability", "Insurance"))
    assert not says_the_same(one, other, Asked.of(""))


def test_any_script() -> None:
    passage = (
        "通知必须在租期结束前三个月以书面形式送达房东办公室"
        "并记入租约登记簿然后以信件确认迟到的通知视为下一租期结束时发出"
    )
    assert same(passage, passage + "。")
    assert same(passage * 3, passage * 3 + "了")
    assert not same(passage, passage[::-1])


def test_words_that_a_scan_tore_apart_do_not_matter() -> None:
    assert same(NOTICE, NOTICE.replace("land", "la nd").replace("month", "mon th"))


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=10))
def test_it_does_not_matter_which_comes_first(one: str, other: str, query: str) -> None:
    assert same(one, other, query) == same(other, one, query)
    assert same(one, one, query) == bool(Said.of((), one).words)
