"""Recognisers that an operator configured: RE2, whose time grows with the text and with nothing else."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import re2

from activities.classify.recognisers import CONTEXT_LENGTH, Match
from muniment.contracts.documents import FindingKind
from muniment.contracts.findings import CustomRecogniser
from muniment.errors import ConfigurationError

MAXIMUM_MEMORY_BYTES = 8 * 1024**2
"""Of one compiled expression; one that needs more is refused when the worker starts."""
SHORTEST_MATCH = 4
"""Code points. What is shorter stands in ordinary words too, which would be masked with it."""


@dataclass(frozen=True, slots=True)
class CustomFinder:
    """Finds what the expression matches; where context words are given only behind one of them."""

    recogniser: CustomRecogniser

    @property
    def kind(self) -> FindingKind:
        return self.recogniser.kind

    @property
    def entity(self) -> str:
        return self.recogniser.entity

    @property
    def name(self) -> str:
        return self.recogniser.name

    @property
    def version(self) -> str:
        """What it was when it found something: its configuration has no other name."""
        said = self.recogniser.model_dump_json().encode()
        return f"custom-{hashlib.sha256(said).hexdigest()[:12]}"

    def find(self, text: str, timeout_seconds: float) -> Iterator[Match]:
        """Matches in the text."""
        for found in _compiled(self.recogniser.expression).finditer(text):
            start, end = found.span()
            if end - start >= SHORTEST_MATCH and self._is_named(text, start):
                yield Match(start, end, self.recogniser.confidence)

    def _is_named(self, text: str, start: int) -> bool:
        before = text[max(0, start - CONTEXT_LENGTH) : start].casefold()
        words = self.recogniser.context
        return not words or any(word.casefold() in before for word in words)


def require_compilable(recognisers: Sequence[CustomRecogniser]) -> None:
    """Raises ConfigurationError for an expression that RE2 does not take."""
    for recogniser in recognisers:
        try:
            _compiled(recogniser.expression)
        except re2.error as error:
            raise ConfigurationError(
                f"the recogniser {recogniser.name} has an expression that RE2 does not take",
                remedy="Mend it in MUNIMENT_FINDINGS__RECOGNISERS; RE2 knows no look-around and no"
                " back-references.",
            ) from error


@lru_cache(maxsize=256)
def _compiled(expression: str) -> "re2._Regexp":
    options = re2.Options()
    options.max_mem = MAXIMUM_MEMORY_BYTES
    options.log_errors = False
    return re2.compile(expression, options)
