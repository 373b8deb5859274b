"""What reading one document scored."""

from dataclasses import asdict, dataclass, field
from enum import StrEnum

from pydantic import JsonValue


class Outcome(StrEnum):
    READ = "read"
    REFUSED = "refused"
    CRASHED = "crashed"


@dataclass(frozen=True, slots=True)
class Share:
    """`found` out of `total`."""

    found: int
    total: int


@dataclass(frozen=True, slots=True)
class FileResult:
    """Scores are None where the test data says nothing to score by.

    `known` is the share of a transcript's characters that the default OCR engine's models have at
    all; `within_limit` whether a transcript, or what must be said, comes as near as it must.
    """

    name: str
    format: str
    category: str
    outcome: Outcome
    seconds: float
    problem: str | None = None
    engines: tuple[str, ...] = ()
    failed_pages: int = 0
    page_count_right: bool | None = None
    similarity: float | None = None
    peers: dict[str, float] = field(default_factory=dict)
    phrases: Share | None = None
    sayings: Share | None = None
    receipt_recall: float | None = None
    word_error: float | None = None
    character_error: float | None = None
    known: float | None = None
    within_limit: bool | None = None
    heading_f1: float | None = None
    cell_f1: float | None = None

    def as_json(self) -> dict[str, JsonValue]:
        """Without what was not scored."""
        return {key: value for key, value in asdict(self).items() if value not in (None, {}, ())}
