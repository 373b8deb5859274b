"""What the policies ask for of a document's findings."""

from collections import Counter
from collections.abc import Sequence

from muniment.contracts.documents import FindingList
from muniment.contracts.findings import (
    INCOMPLETE,
    UNMASKED,
    FindingAct,
    FindingRule,
    Judgement,
    JudgementCause,
    strictest,
)

_IN_WORDS = {
    INCOMPLETE: "parts that were not examined",
    UNMASKED: "values that would still stand in what readers see",
}


def judge(findings: FindingList, rules: Sequence[FindingRule]) -> Judgement:
    """The strictest act that a rule asks for of any finding.

    Nothing fails open: where something was not examined, and a rule would do more than record what it
    found there, a person looks at it.
    """
    counted = Counter(
        (rule.policy_id, rule.act, finding.entity)
        for finding in findings.findings
        for rule in rules
        if rule.act is not FindingAct.RECORD and rule.concerns(finding)
    )
    causes = [
        JudgementCause(act=act, entity=entity, count=count, policy_id=policy_id)
        for (policy_id, act, entity), count in counted.items()
    ]
    if findings.incomplete and any(rule.act is not FindingAct.RECORD for rule in rules):
        unseen = len(findings.incomplete)
        causes.append(JudgementCause(act=FindingAct.REVIEW, entity=INCOMPLETE, count=unseen))
    act = strictest([cause.act for cause in causes])
    return Judgement(act=act, causes=tuple(causes), rules=tuple(rules))


def held_unmasked(judgement: Judgement, count: int) -> Judgement:
    """What the judgement comes to where so many values were not masked wherever they stand."""
    causes = [cause for cause in judgement.causes if cause.entity != UNMASKED]
    left = JudgementCause(act=FindingAct.REVIEW, entity=UNMASKED, count=count)
    update = {"act": FindingAct.REVIEW, "causes": (*causes, left)}
    return judgement.model_copy(update=update)


def reason(judgement: Judgement) -> str:
    """What made for the act, for whoever decides: types and counts, never values."""
    counts: Counter[str] = Counter()
    for cause in judgement.causes:
        if cause.act is judgement.act:
            counts[cause.entity] = max(counts[cause.entity], cause.count)
    named = ", ".join(
        _IN_WORDS.get(entity, f"{entity} ({count})") for entity, count in sorted(counts.items())
    )
    return f"The tenant's policies ask for it because of: {named}."
