"""Which page is which, and what changed on it: the algorithms alone."""

import random
import re
import time
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.version_comparisons.alignment import PageText, Pair, align
from api.version_comparisons.differences import (
    MOST_CHARACTERS,
    Differences,
    SpanKind,
    changed_runs,
    differences,
)
from api.version_comparisons.service import _words

WORDS = tuple(
    re.findall(
        r"\w+", "the lease of mill is registered under number clerk holds one key charter oak"
    )
)


def page(number: int, seed: int | str, count: int = 120) -> PageText:
    chosen = random.Random(seed)  # noqa: S311 - words, no secrets
    return PageText(
        number, tuple(f"{chosen.choice(WORDS)}{chosen.randrange(50)}" for _ in range(count))
    )


def edited(number: int, of: PageText, share: float) -> PageText:
    assert of.words is not None
    words = list(of.words)
    for place in range(int(len(words) * share)):
        words[place * len(words) // max(1, int(len(words) * share))] = f"new{place}"
    return PageText(number, tuple(words))


def told(pairs: Sequence[Pair]) -> list[tuple[int | None, int | None, bool]]:
    return [(pair.former, pair.present, pair.is_moved) for pair in pairs]


FORMER = [page(number, number) for number in range(6)]


def test_pages_that_stayed_are_paired() -> None:
    assert told(align(FORMER, FORMER)) == [(number, number, False) for number in range(6)]


def test_an_inserted_page_shifts_the_others_and_changes_none() -> None:
    present = [*FORMER[:2], page(3, "new"), *FORMER[2:]]
    assert told(align(FORMER, present)) == [
        (0, 0, False), (1, 1, False), (None, 2, False),
        (2, 3, False), (3, 4, False), (4, 5, False), (5, 6, False),
    ]  # fmt: skip


def test_a_removed_page_stands_where_it_stood() -> None:
    present = [*FORMER[:2], *FORMER[3:]]
    assert told(align(FORMER, present))[2] == (2, None, False)


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_a_changed_page_beside_an_inserted_one_is_found(share: float) -> None:
    present = [*FORMER[:2], page(3, "new"), edited(4, FORMER[2], share), *FORMER[3:]]
    assert told(align(FORMER, present))[2:4] == [(None, 2, False), (2, 3, False)]


@pytest.mark.parametrize("share", [0, 0.05])
def test_a_moved_page_is_found_even_when_it_changed(share: float) -> None:
    present = [*FORMER[1:], edited(6, FORMER[0], share)]
    assert told(align(FORMER, present)) == [
        (1, 0, False), (2, 1, False), (3, 2, False), (4, 3, False), (5, 4, False), (0, 5, True),
    ]  # fmt: skip


def test_another_page_in_the_same_place_is_no_change_of_it() -> None:
    present = [*FORMER[:2], page(3, "other"), *FORMER[3:]]
    assert told(align(FORMER, present))[2:4] == [(2, None, False), (None, 2, False)]


def test_an_unread_page_stands_for_the_one_in_its_place() -> None:
    present = [*FORMER[:2], PageText(3, None, "urn:x"), *FORMER[3:]]
    assert told(align(FORMER, present)) == [(number, number, False) for number in range(6)]


def test_empty_pages_do_not_move() -> None:
    blank = PageText(1, ())
    pairs = align([blank, FORMER[0]], [FORMER[0], blank])
    assert told(pairs) == [(1, 0, True), (0, 1, False)]


texts = st.lists(st.sampled_from(["a", "b", "c", "d e", "f g h", ""]), max_size=8)


@given(texts, texts)
def test_every_page_comes_once_and_in_the_order_of_the_present(
    former: list[str], present: list[str]
) -> None:
    ours = [PageText(number, tuple(text.split())) for number, text in enumerate(former)]
    theirs = [PageText(number, tuple(text.split())) for number, text in enumerate(present)]
    pairs = align(ours, theirs)
    assert sorted(each.former for each in pairs if each.former is not None) == [*range(len(ours))]
    assert [each.present for each in pairs if each.present is not None] == [*range(len(theirs))]


words = st.lists(st.sampled_from("abcde"), max_size=30)


@given(words, words)
def test_runs_cover_both_texts_whole(former: list[str], present: list[str]) -> None:
    all_runs = changed_runs(former, present)
    rebuilt: list[str] = []
    had: list[str] = []
    for run in all_runs:
        if run.is_equal:
            ours = former[run.former_start : run.former_end]
            assert ours == present[run.present_start : run.present_end]
        had += former[run.former_start : run.former_end]
        rebuilt += present[run.present_start : run.present_end]
    assert (had, rebuilt) == (former, present)
    kinds = [run.is_equal for run in all_runs]
    assert all(one != other for one, other in pairwise(kinds))


def shown(found: Differences) -> list[tuple[str, int, str]]:
    return [(span.kind.value, span.words, span.text) for span in found.spans]


def test_a_change_is_shown_with_a_few_words_around_it() -> None:
    former = [f"w{number}" for number in range(40)]
    present = [*former[:20], "new", "words", *former[21:]]
    found = differences(former, present)
    assert shown(found) == [
        ("omitted", 14, ""),
        ("equal", 6, "w14 w15 w16 w17 w18 w19"),
        ("removed", 1, "w20"),
        ("added", 2, "new words"),
        ("equal", 6, "w21 w22 w23 w24 w25 w26"),
        ("omitted", 13, ""),
    ]
    assert (found.words_removed, found.words_added, found.is_cut) == (1, 2, False)


def test_what_is_too_long_to_be_shown_says_so() -> None:
    found = differences([], ["word"] * 100_000)
    assert found.is_cut
    assert found.words_added == 100_000
    assert sum(len(span.text) for span in found.spans) == MOST_CHARACTERS


def test_pages_of_a_hundred_thousand_words_are_compared_in_time() -> None:
    former = [f"{word}{number // 100}" for number, word in enumerate(WORDS * 7200)]
    present = list(former)
    for place in range(500, len(present), 1000):
        present[place] = "CHANGED"
    started = time.process_time()
    found = differences(former, present)
    assert time.process_time() - started < 5
    assert found.words_added == found.words_removed == len(range(500, len(present), 1000))


def test_a_long_page_in_which_nothing_stands_once_is_compared_by_stretches() -> None:
    former = ["over", "and"] * 30_000
    found = differences(former, [*former[:7000], "out", *former[7000:]])
    assert (found.words_removed, found.words_added) == (0, 1)
    found = differences(former, ["in", *former[:7000], "out", *former[7000:], "end"])
    assert found.words_added - found.words_removed == 3
    assert found.words_added < 300


@pytest.mark.parametrize("vocabulary", [2, 100_000])
def test_pages_that_have_nothing_in_common_are_compared_in_time(vocabulary: int) -> None:
    chosen = random.Random(vocabulary)  # noqa: S311 - words, no secrets
    former, present = (
        [str(chosen.randrange(vocabulary)) for _ in range(100_000)] for _ in range(2)
    )
    started = time.process_time()
    found = differences(former, present)
    assert time.process_time() - started < 5
    assert found.is_cut


def test_what_comes_after_the_deadline_is_given_whole() -> None:
    found = differences(["a", "b", "c"], ["x", "b", "y"], deadline=0)
    assert [span.kind for span in found.spans] == [SpanKind.REMOVED, SpanKind.ADDED]
    assert found.is_cut


def test_a_run_of_marks_holds_nobody_up() -> None:
    """Composing it as a whole takes time with the square of its length."""
    text = "\n".join(["a" + "\u0301\u0327" * 75_000, "cafe\u0301"])
    started = time.process_time()
    words = _words(text, {})
    assert time.process_time() - started < 1
    assert words[1] == "caf\u00e9"


def test_a_vast_page_is_compared_within_its_bounds() -> None:
    former = [str(number) for number in range(400_000)]
    present = [*former[:1000], "in", *former[1000:]]
    started = time.process_time()
    found = differences(former, present, deadline=time.monotonic() + 5)
    assert time.process_time() - started < 20
    assert found.words_added - found.words_removed == 1


def test_two_thousand_pages_that_all_changed_are_aligned_in_time() -> None:
    former = [page(number, number, 100) for number in range(2000)]
    present = [page(number, f"new {number}", 100) for number in range(2000)]
    started = time.process_time()
    pairs = align(former, present)
    assert time.process_time() - started < 20
    assert len(pairs) == 4000
