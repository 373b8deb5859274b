"""Recognisers that an operator configured, and what is not taken for one."""

import time

import pytest
from pydantic import ValidationError

from activities.classify.calls import PageText
from activities.classify.custom import require_compilable
from activities.classify.engine import classify_pages
from muniment.contracts.documents import Finding, FindingKind
from muniment.contracts.findings import CustomRecogniser
from muniment.errors import ConfigurationError
from muniment.settings import load_settings

STAFF = CustomRecogniser(
    name="StaffNumber", entity="STAFF_NUMBER", expression=r"\bE-\d{5}\b", confidence=0.8
)


def found_by(recogniser: CustomRecogniser, text: str) -> list[Finding]:
    result = classify_pages([PageText(page=1, text=text)], recognisers=[recogniser])
    assert result.incomplete == ()
    return [each for each in result.findings if each.recogniser == recogniser.name]


def test_what_is_configured_is_found_with_code_points_and_a_version_of_its_own() -> None:
    text = "😀 naïve 文書: E-12345, ana@example.org and XE-123456"
    (found,) = found_by(STAFF, text)
    assert (found.entity, text[found.start : found.end]) == ("STAFF_NUMBER", "E-12345")
    assert (found.kind, found.score) == (FindingKind.PERSONAL_DATA, 0.8)
    stricter = STAFF.model_copy(update={"confidence": 0.9})
    (again,) = found_by(stricter, text)
    assert found.recogniser_version.startswith("custom-")
    assert again.recogniser_version != found.recogniser_version


def test_with_context_words_it_counts_behind_one_of_them() -> None:
    named = STAFF.model_copy(update={"context": ("Personalnummer", "staff no")})
    assert len(found_by(named, "PERSONALNUMMER: E-12345")) == 1
    assert found_by(named, "The part E-12345 is out of stock.") == []


def test_matches_too_short_to_be_masked_are_none() -> None:
    assert found_by(STAFF.model_copy(update={"expression": "a?"}), "a banana" * 100) == []


@pytest.mark.parametrize("expression", ["(", r"(?<=a)b", r"(a)\1", "a{1001}", "(?P<x>" * 10])
def test_what_re2_does_not_take_stops_the_worker_and_says_which(expression: str) -> None:
    with pytest.raises(ConfigurationError, match="StaffNumber"):
        require_compilable([STAFF.model_copy(update={"expression": expression})])


def test_an_expression_that_others_backtrack_over_costs_time_by_length_alone() -> None:
    started = time.process_time()
    assert found_by(STAFF.model_copy(update={"expression": "(a+)+b"}), "a" * 200_000) == []
    assert time.process_time() - started < 20


@pytest.mark.parametrize(
    "change",
    [
        {"name": "1"},
        {"entity": "lower"},
        {"expression": ""},
        {"expression": "a" * 1001},
        {"confidence": 0},
        {"context": ["a"]},
        {"more": 1},
    ],
)
def test_a_recogniser_is_bounded(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CustomRecogniser.model_validate({**STAFF.model_dump(), **change})


def test_they_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUNIMENT_FINDINGS__RECOGNISERS", f"[{STAFF.model_dump_json()}]")
    assert load_settings().findings.recognisers == (STAFF,)
