"""What a query is taken for. Nothing is an error."""

import time

import pytest
from hypothesis import given, settings, strategies

from db.queries.asked import AskedQuery, Condition
from retrieval.query_language import (
    MAX_BEGINNING,
    MAX_CONDITIONS,
    MAX_PREFIXES,
    ParsedQuery,
    only_words,
    parse_query,
)


def conditions(query: str) -> tuple[Condition, ...]:
    return parse_query(query).asked.conditions


def test_each_operator_is_understood() -> None:
    found = parse_query(
        'grain "town clerk" invent* -draft -"old copy" -copi* heading:scope name:2024'
    )
    assert found == ParsedQuery(
        AskedQuery(
            words="grain town clerk scope",
            prefixes=("invent",),
            conditions=(
                Condition("town clerk"),
                Condition("draft", is_excluded=True),
                Condition("old copy", is_excluded=True),
                Condition("copi", is_excluded=True, is_prefix=True),
                Condition("scope", is_heading=True),
            ),
        ),
        meaning="grain town clerk invent scope",
        form='grain "town clerk" invent',
        names=("2024",),
    )
    understood = found.understood()
    assert understood is not None
    assert understood.conditions == (
        '"town clerk"',
        '-"draft"',
        '-"old copy"',
        "-copi*",
        'heading:"scope"',
        'name:"2024"',
    )


@pytest.mark.parametrize(
    "query",
    [
        "the harbour master's well-kept book",
        "a - b -- c --flag",
        'pipes of 5" and 3" width',
        "an unbalanced \"quote -' here",
        "name: and heading: of it, rename:this",
        "2*3* * ** *bold* x*",
        "预算* 的",
        '"" -"" "..." -... name:"" heading:--',
        "\x01\x02\x1f \u200b\u202e",
        "C++ AT&T a|b !(c) [d] {e} ~f ^g \\h 'i",
    ],
)
def test_what_is_no_operator_is_words(query: str) -> None:
    found = parse_query(query)
    assert found == only_words(query)
    assert found.understood() is None


@pytest.mark.parametrize("quotes", ['""', "“”", "„“", "«»"])
def test_quotes_of_other_languages_are_quotes(quotes: str) -> None:
    assert conditions(f"a {quotes[0]}b c{quotes[1]}") == (Condition("b c"),)


def test_operators_of_fields_are_excluded_with_a_hyphen_and_in_capital_letters() -> None:
    found = parse_query('x -name:draft -heading:"old scope" NAME:"q 1"')
    assert found.excluded_names == ("draft",)
    assert found.names == ("q 1",)
    assert found.asked.conditions == (Condition("old scope", is_heading=True, is_excluded=True),)
    assert found.asked.words == "x"


def test_only_exclusions_say_nothing() -> None:
    found = parse_query('-draft -"old copy"')
    assert (found.asked.words, found.meaning) == ("", "")
    assert len(found.asked.conditions) == 2


def test_there_are_bounds() -> None:
    many = parse_query(" ".join(f'"w{number} x" -y{number}' for number in range(2_500)))
    assert len(many.asked.conditions) == MAX_CONDITIONS
    assert many.is_cut
    assert "w2499 x" in many.asked.words, "a phrase too many is words"
    begun = parse_query(" ".join(f"word{number}*" for number in range(50)))
    assert len(begun.asked.prefixes) == MAX_PREFIXES
    assert "word49" in begun.asked.words
    named = parse_query(" ".join(f"name:file{number}" for number in range(40)))
    assert len(named.names) == MAX_CONDITIONS
    assert "file39" in named.asked.words.split()
    assert "file0" not in named.asked.words.split()
    long = "a" * (MAX_BEGINNING + 1)
    assert parse_query(f"{long}* -{long}*").asked == AskedQuery(
        f"{long}*", conditions=(Condition(f"{long}*", is_excluded=True),)
    )
    assert parse_query(f"{long[1:]}*").asked.prefixes == (long[1:],)


@pytest.mark.parametrize(
    "piece", ['"', '-"', "-", "a", "-name:", 'name:"', "* ", "a*", "-a ", '"a" ', "“«"]
)
def test_long_texts_are_read_in_no_time(piece: str) -> None:
    text = piece * (65_536 // len(piece))
    started = time.process_time()
    parse_query(text)
    assert time.process_time() - started < 2


@settings(max_examples=200, deadline=None)
@given(strategies.text(alphabet='ab1 "-*:“\u0e01水_\x01name heading', max_size=60))
def test_no_text_is_an_error(text: str) -> None:
    found = parse_query(text)
    assert len(found.asked.prefixes) <= MAX_PREFIXES
    assert all(any(c.isalnum() for c in each.content) for each in found.asked.conditions)
