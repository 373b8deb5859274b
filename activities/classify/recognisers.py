"""Presidio's pattern recognition, run with a bound that shows.

Presidio's own loop, and so its AnalyzerEngine, writes a log line and goes on when an expression
times out, and logs a value that it cannot validate. The loop here uses the patterns and validations
of the same recognisers, and raises instead.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version as library_version
from typing import TYPE_CHECKING

import regex
from presidio_analyzer import Pattern

from muniment.contracts.documents import FindingKind

if TYPE_CHECKING:
    from regex import Match as RegexMatch
    from regex import Pattern as RegexPattern

CONTEXT_LENGTH = 48
"""Code points before a match in which a context word counts."""

PRESIDIO_VERSION = f"presidio-analyzer-{library_version('presidio-analyzer')}"

FLAGS = regex.DOTALL | regex.MULTILINE | regex.IGNORECASE
"""26: as Presidio's default. Its IBAN recogniser would else miss lower case."""


@dataclass(frozen=True, slots=True)
class Match:
    """Code points [`start`, `end`) of the examined text; `score` from 0 to 1."""

    start: int
    end: int
    score: float


Judge = Callable[[str, "RegexMatch[str]"], Match | None]
"""What a match in a text is worth; None when it is nothing."""


@dataclass(frozen=True, slots=True)
class PatternFinder:
    """Finds `entity` where one of the patterns matches and `judge` agrees. `name` is that of
    Presidio's recogniser for it, of the `version` given."""

    entity: str
    name: str
    patterns: tuple[Pattern, ...]
    judge: Judge
    version: str = PRESIDIO_VERSION
    kind: FindingKind = FindingKind.PERSONAL_DATA

    def find(self, text: str, timeout_seconds: float) -> Iterator[Match]:
        """Matches in the text; TimeoutError when an expression ran out of time."""
        for pattern in self.patterns:
            for found in _compiled(pattern.regex).finditer(text, timeout=timeout_seconds):
                match = self.judge(text, found)
                if match is not None:
                    yield match


@lru_cache(maxsize=256)
def _compiled(expression: str) -> "RegexPattern[str]":
    return regex.compile(expression, flags=FLAGS)


def words_before(text: str, start: int, expression: "RegexPattern[str]") -> bool:
    """Whether a context word stands shortly before the match."""
    return expression.search(text, max(0, start - CONTEXT_LENGTH), start) is not None
