"""The engine `classify`: the texts of pages in, places of personal data, secrets and signals out."""

import logging
import time
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.metadata import version as library_version
from itertools import chain

from activities.classify.calls import ClassifyRequest, PageText
from activities.classify.custom import CustomFinder
from activities.classify.patterns import personal_data_finders
from activities.classify.pieces import Piece, pieces_of
from activities.classify.recognisers import Match, PatternFinder
from activities.classify.secrets import find_secrets, secret_detection
from activities.classify.time_limit import time_limit
from activities.classify.unseen import INJECTION_RECOGNISER, hidden_in, injections_in
from activities.sandbox.registry import EngineContext, engine, warm
from muniment.contracts.documents import Finding, FindingKind, FindingList
from muniment.contracts.findings import CustomRecogniser

MAXIMUM_FINDINGS = 20_000
"""A list of customers can hold more; that it does is then the finding."""

DETECT_SECRETS = "detect-secrets"
DETECT_SECRETS_VERSION = f"detect-secrets-{library_version('detect-secrets')}"

# Presidio logs values that it cannot validate.
logging.getLogger("presidio-analyzer").disabled = True

Finder = PatternFinder | CustomFinder

_finders = cache(personal_data_finders)


@engine("classify")
def classify(request: ClassifyRequest, _context: EngineContext) -> FindingList:
    """Findings by page and place; `incomplete` names what was not examined, and is empty otherwise.

    Nothing fails open: a recogniser that ran out of time on a page, pages that the document's time
    did not suffice for, and findings beyond the greatest number are all named.
    """
    return classify_pages(
        request.pages, request.seconds, request.piece_seconds, request.recognisers
    )


def classify_pages(
    pages: Sequence[PageText],
    seconds: float = 60,
    piece_seconds: float = 1,
    recognisers: Sequence[CustomRecogniser] = (),
) -> FindingList:
    """As `classify`; a finding's `start` and `end` are code points of its page's text."""
    finders: list[Finder] = [*_finders(), *(CustomFinder(each) for each in recognisers)]
    examination = _Examination(time.monotonic() + seconds, piece_seconds, finders)
    findings: list[Finding] = []
    with secret_detection():
        for number, page in enumerate(pages):
            if examination.is_over:
                left = ", ".join(_ranges([page.page for page in pages[number:]]))
                examination.gaps.append(f"time limit: pages {left} were not examined")
                break
            findings.extend(_without_shadows(examination.of(page)))
            findings.extend(examination.unseen(page))
    if len(findings) > MAXIMUM_FINDINGS:
        gap = f"{len(findings)} findings: only the first {MAXIMUM_FINDINGS} are recorded"
        examination.gaps.append(gap)
    return FindingList(
        findings=tuple(findings[:MAXIMUM_FINDINGS]), incomplete=examination.incomplete()
    )


class _Examination:
    """One document's clock, and what it left out."""

    def __init__(self, deadline: float, piece_seconds: float, finders: Sequence[Finder]) -> None:
        self._deadline = deadline
        self._piece_seconds = piece_seconds
        self._finders = finders
        self._timed_out: dict[str, list[int]] = {}
        self.gaps: list[str] = []

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self._deadline

    @property
    def _seconds_left(self) -> float:
        """For one recogniser on one piece."""
        return min(self._piece_seconds, self._deadline - time.monotonic())

    def of(self, page: PageText) -> list[Finding]:
        return [
            finding
            for piece in pieces_of(page.text)
            for finding in self._of_piece(page.page, piece)
        ]

    def _of_piece(self, page: int, piece: Piece) -> Iterator[Finding]:
        for finder in self._finders:
            yield from self._by_pattern(page, piece, finder)
        yield from self._secrets(page, piece)
        yield from self._signals(page, injections_in(page, piece))

    def unseen(self, page: PageText) -> list[Finding]:
        return self._signals(page.page, hidden_in(page))

    def _signals(self, page: int, signals: Iterator[Finding]) -> list[Finding]:
        left, found = self._seconds_left, list[Finding]()
        if left <= 0:
            self._note(INJECTION_RECOGNISER, page)
            return found
        try:
            with time_limit(left):
                for signal in signals:
                    found.append(signal)
        except TimeoutError:
            self._note(INJECTION_RECOGNISER, page)
        return found

    def _by_pattern(self, page: int, piece: Piece, finder: Finder) -> Iterator[Finding]:
        left = self._seconds_left
        if left <= 0:
            self._note(finder.name, page)
            return
        try:
            for match in finder.find(piece.text, left):
                if piece.owns(match.start):
                    yield Finding(
                        kind=finder.kind,
                        entity=finder.entity,
                        page=page,
                        start=piece.offset + match.start,
                        end=piece.offset + match.end,
                        score=match.score,
                        recogniser=finder.name,
                        recogniser_version=finder.version,
                    )
        except TimeoutError:
            self._note(finder.name, page)

    def _secrets(self, page: int, piece: Piece) -> Iterator[Finding]:
        left = self._seconds_left
        if left <= 0:
            self._note(DETECT_SECRETS, page)
            return
        found: list[tuple[str, Match]] = []
        try:
            with time_limit(left):
                for secret in find_secrets(piece.text):
                    found.append(secret)  # noqa: PERF402 - those before a time-out are kept
        except TimeoutError:
            self._note(DETECT_SECRETS, page)
        for entity, match in found:
            if piece.owns(match.start):
                yield Finding(
                    kind=FindingKind.SECRET,
                    entity=entity,
                    page=page,
                    start=piece.offset + match.start,
                    end=piece.offset + match.end,
                    score=match.score,
                    recogniser=DETECT_SECRETS,
                    recogniser_version=DETECT_SECRETS_VERSION,
                )

    def _note(self, recogniser: str, page: int) -> None:
        pages = self._timed_out.setdefault(recogniser, [])
        if page not in pages[-1:]:
            pages.append(page)

    def incomplete(self) -> tuple[str, ...]:
        timed_out = (
            f"{recogniser}: out of time on pages {', '.join(_ranges(pages))}"
            for recogniser, pages in self._timed_out.items()
        )
        return (*timed_out, *self.gaps)


def _without_shadows(findings: list[Finding]) -> list[Finding]:
    """In order of place; of those of a kind that overlap, only the likeliest: the digits of a card
    are no telephone number as well."""
    kept: dict[FindingKind, list[Finding]] = {kind: [] for kind in FindingKind}
    for finding in sorted(findings, key=lambda entry: (entry.start, -entry.score, -entry.end)):
        of_kind = kept[finding.kind]
        if not of_kind or finding.start >= of_kind[-1].end:
            of_kind.append(finding)
        elif finding.score > of_kind[-1].score:
            of_kind[-1] = finding
    return sorted(chain.from_iterable(kept.values()), key=lambda entry: (entry.start, entry.end))


def _ranges(pages: Sequence[int]) -> list[str]:
    """Page numbers in the short form: 3–7, 9."""
    ranges: list[list[int]] = []
    for page in pages:
        if ranges and page == ranges[-1][1] + 1:
            ranges[-1][1] = page
        else:
            ranges.append([page, page])
    return [str(first) if first == last else f"{first}–{last}" for first, last in ranges]


@warm
def warm_recognisers() -> None:
    """Compiles every expression before the first document."""
    classify_pages([PageText(page=1, text="Nobody is named here: 1.")])
