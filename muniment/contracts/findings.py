"""What is to become of findings: rules, and what they come to for the findings of a document."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field

from muniment.contracts.base import Contract
from muniment.contracts.documents import MASKABLE_KINDS, Finding, FindingKind


class FindingAct(StrEnum):
    """From the mildest to the strictest: what was found is only recorded; a token takes its place in what
    readers are shown; the document waits for a person; it is refused."""

    RECORD = "record"
    MASK = "mask"
    REVIEW = "review"
    REFUSE = "refuse"


_STRICTNESS = {act: number for number, act in enumerate(FindingAct)}


def strictest(acts: Sequence[FindingAct]) -> FindingAct:
    """Of none: `record`."""
    return max(acts, key=_STRICTNESS.__getitem__, default=FindingAct.RECORD)


class FindingRule(Contract):
    """A policy as it is judged by: `kind` and `entity` None mean any; one that masks, any that has a
    value."""

    policy_id: UUID
    kind: FindingKind | None = None
    entity: str | None = None
    minimum_score: float = Field(default=0, ge=0, le=1)
    act: FindingAct

    def concerns(self, finding: Finding) -> bool:
        if self.act is FindingAct.MASK and finding.kind not in MASKABLE_KINDS:
            return False
        return (
            self.kind in (None, finding.kind)
            and self.entity in (None, finding.entity)
            and finding.score >= self.minimum_score
        )


MOST_RECOGNISERS = 50
MOST_CONTEXT_WORDS = 20
ContextWord = Annotated[str, Field(min_length=2, max_length=50)]


class CustomRecogniser(Contract):
    """What an installation looks for besides: `expression` in RE2's syntax. With words of `context` it
    counts only where one of them stands shortly before it."""

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9]{0,49}$")
    entity: str = Field(pattern=r"^[A-Z][A-Z0-9_]{0,99}$")
    kind: FindingKind = FindingKind.PERSONAL_DATA
    expression: str = Field(min_length=1, max_length=1000)
    confidence: float = Field(default=0.6, gt=0, le=1)
    context: tuple[ContextWord, ...] = Field(default=(), max_length=MOST_CONTEXT_WORDS)


INCOMPLETE = "INCOMPLETE"
"""The entity of the cause that something was not examined at all."""
UNMASKED = "UNMASKED"
"""The entity of the cause that values which are masked can still be found in the passages."""


class JudgementCause(Contract):
    """A policy, and of how many findings of a type it asks for its act. Without a policy: that something
    was not examined, or not masked wherever it stands, which nobody can judge but a person."""

    act: FindingAct
    entity: str
    count: int
    policy_id: UUID | None = None


class Judgement(Contract):
    """What `rules` come to for the findings of a document: `act` is the strictest of all."""

    act: FindingAct
    causes: tuple[JudgementCause, ...] = ()
    rules: tuple[FindingRule, ...] = ()

    def act_on(self, finding: Finding) -> FindingAct:
        """The strictest that is asked for of one finding."""
        return strictest([rule.act for rule in self.rules if rule.concerns(finding)])

    def masks(self, finding: Finding) -> bool:
        """Whether a token takes its place, whatever else is asked for: a document that a person let
        through is masked all the same."""
        return any(rule.act is FindingAct.MASK and rule.concerns(finding) for rule in self.rules)

    @property
    def may_mask(self) -> bool:
        return any(rule.act is FindingAct.MASK for rule in self.rules)
