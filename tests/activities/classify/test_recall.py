"""How much of the labelled data is found, and how much that is found is labelled: docs/findings.md has the
table."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from activities.classify.calls import PageText
from activities.classify.engine import classify_pages
from muniment.contracts.documents import Finding, FindingKind

STRUCTURED = {
    "CREDIT_CARD", "EMAIL_ADDRESS", "IBAN_CODE", "IP_ADDRESS", "PHONE_NUMBER", "US_SSN",
}  # fmt: skip
LEAST_RECALL, LEAST_PRECISION = 0.95, 0.9


@dataclass
class Score:
    """Labelled and found, labelled and missed, found and not labelled; by type."""

    hits: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    false: Counter[str] = field(default_factory=Counter)

    def count(
        self, entity: str, labelled: list[tuple[int, int]], found: list[tuple[int, int]]
    ) -> None:
        for span in labelled:
            which = self.hits if any(_overlap(span, each) for each in found) else self.missed
            which[entity] += 1
        self.false[entity] += sum(
            not any(_overlap(each, span) for span in labelled) for each in found
        )

    def recall(self, entity: str) -> float:
        return self.hits[entity] / (self.hits[entity] + self.missed[entity])

    def precision(self, entity: str) -> float:
        return self.hits[entity] / (self.hits[entity] + self.false[entity])


def _overlap(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def found_in(text: str) -> tuple[Finding, ...]:
    result = classify_pages([PageText(page=1, text=text)])
    assert result.incomplete == ()
    return result.findings


@pytest.fixture(scope="module")
def score(shared_data: Path) -> Score:
    score = Score()
    for name in ("pii_multilingual_checksums", "presidio_synth"):
        lines = (shared_data / "pii" / f"{name}.dev.jsonl").read_text(encoding="utf-8")
        for line in lines.splitlines():
            record = json.loads(line)
            found = found_in(record["text"])
            for entity in STRUCTURED:
                score.count(
                    entity,
                    [(s["start"], s["end"]) for s in record["spans"] if s["type"] == entity],
                    [(each.start, each.end) for each in found if each.entity == entity],
                )
    return score


@pytest.mark.parametrize("entity", sorted(STRUCTURED))
def test_structured_personal_data_is_found(score: Score, entity: str) -> None:
    assert score.recall(entity) >= LEAST_RECALL
    assert score.precision(entity) >= LEAST_PRECISION


def test_secrets_are_found_whole(shared_data: Path) -> None:
    score = Score()
    lines = (shared_data / "pii" / "secrets" / "labels.dev.jsonl").read_text(encoding="utf-8")
    for line in lines.splitlines():
        record = json.loads(line)
        found = [
            (each.start, each.end)
            for each in found_in(record["text"])
            if each.kind is FindingKind.SECRET
        ]
        labelled = [(each["start"], each["end"]) for each in record["secrets"]]
        score.count("secret", labelled, found)
        for start, end in labelled:
            assert any(first <= start and end <= last for first, last in found), record["id"]
    assert score.recall("secret") >= LEAST_RECALL
    assert score.precision("secret") >= LEAST_PRECISION
