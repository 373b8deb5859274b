"""What names a person, and what only looks like it."""

import pytest
from pydantic import JsonValue

from activities.subjects.matching import Identifiers


@pytest.mark.parametrize(
    ("identifier", "words"),
    [
        ("Ana Li", "so ANA\n   LI says"),
        ("Müller", "Herr MÜLLER kam"),
        ("ana.li@example.org", "<Ana.Li@Example.org>"),
        ("+49 (30) 123-4567", "call 49301234567 now"),
        ("+49 (30) 123-4567", "call +49 30/123 45 67."),
        ("DE89370400440532013000", "IBAN de89 3704 0044 0532 0130 00"),
        ("078-05-1120", "his number 078 05 1120"),
        ("山田太郎", "昨日山田太郎さんが来た"),
        ("C++ (Ltd.)", "of c++ (ltd.)"),
    ],
)
def test_a_person_is_named(identifier: str, words: str) -> None:
    assert Identifiers([identifier]).stands_in(words)


@pytest.mark.parametrize(
    ("identifier", "words"),
    [
        ("Ana Li", "Diana Li"),
        ("Ana Li", "Ana Lima"),
        ("Ana Li", "Ana, Li"),
        ("a.li@example.org", "axli@example.org"),
        ("078-05-1120", "9078051120"),
        ("078-05-1120", "078051121"),
    ],
)
def test_a_person_is_not_named(identifier: str, words: str) -> None:
    assert not Identifiers([identifier]).stands_in(words)


def test_a_name_across_two_passages_counts_for_the_second_alone() -> None:
    identifiers = Identifiers(["Ana Li"])
    assert identifiers.stands_in(" Li of Oslo", behind="here is Ana")
    assert not identifiers.stands_in(" of Oslo", behind="here is Ana Li")


@pytest.mark.parametrize(
    "value", [{"a": [{"b": "by Ana Li"}]}, {"Ana Li": 1}, ["x", ["ana li"]], "Ana Li"]
)
def test_metadata_is_looked_through_however_deep(value: JsonValue) -> None:
    assert Identifiers(["Ana Li"]).stands_within(value)


def test_a_number_in_metadata_is_found() -> None:
    assert Identifiers(["123456"]).stands_within({"customer": 123456})
    assert not Identifiers(["123456"]).stands_within({"customer": 1234567, "is": True})
