"""What becomes known of a document beside its text: the `extracted` of its file."""

from collections import Counter
from collections.abc import Sequence
from itertools import accumulate

from pydantic import JsonValue

from activities.assemble.calls import TextFacts
from muniment.contracts.documents import Chunk, DocumentPlan, FindingList, OutlineEntry

MOST_OUTLINE_ENTRIES = 200
"""A file's description is part of every list of files."""
LONGEST_ENTRY = 120


def extracted(
    plan: DocumentPlan, facts: TextFacts, chunks: Sequence[Chunk], findings: FindingList
) -> dict[str, JsonValue]:
    """What the document says of itself, how many words it has, where text was found that nobody
    sees, and which recognisers of personal data and secrets did not examine which pages. What is not
    known is left out."""
    known: dict[str, JsonValue] = {
        "title": plan.title,
        "authors": list(plan.authors),
        "created": plan.created,
        "language": plan.language or facts.language,
        "outline": _outline(plan.outline),
        "hidden_text": _hidden_text(facts),
        "classification_gaps": list(findings.incomplete),
    }
    words = sum(len(chunk.text.split()) for chunk in chunks)
    return {"words": words} | {name: value for name, value in known.items() if value}


def _outline(entries: Sequence[OutlineEntry]) -> list[JsonValue]:
    """The bookmarks of as many levels as fit, from the outermost in; of one level too many, the first
    ones."""
    counts = Counter(entry.level for entry in entries)
    levels = sorted(counts)
    sums = accumulate(counts[level] for level in levels)
    fitting = [
        level for level, count in zip(levels, sums, strict=True) if count <= MOST_OUTLINE_ENTRIES
    ]
    kept = [entry for entry in entries if entry.level in (fitting or levels[:1])]
    return [_entry(entry) for entry in kept[:MOST_OUTLINE_ENTRIES]]


def _entry(entry: OutlineEntry) -> JsonValue:
    shown: dict[str, JsonValue] = {"title": entry.title[:LONGEST_ENTRY], "level": entry.level}
    return shown if entry.page is None else shown | {"page": entry.page}


def _hidden_text(facts: TextFacts) -> dict[str, JsonValue] | None:
    if facts.hidden_page_count == 0:
        return None
    return {
        "pages": facts.hidden_page_count,
        "kinds": [kind.value for kind in facts.hidden_kinds],
    }
