"""The whole run against its goals, and the tables a person reads."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import mean

from bench.quality.results import FileResult, Outcome

SIMILARITY = 0.95
PHRASES_ON_THEIR_PAGE = 0.97
WORD_ERROR_CLEAR = 0.04
WORD_ERROR_POOR = 0.10
RECEIPT_WORDS = 0.90
TRANSCRIPTS_WITHIN_LIMIT = 0.80
KNOWN_TO_MODELS = 0.98
"""A transcript with more characters than this share that the models lack is set apart."""

_MADE_SCANS = {
    "clean": WORD_ERROR_CLEAR,
    "skew": WORD_ERROR_CLEAR,
    "noise": WORD_ERROR_POOR,
    "blur": WORD_ERROR_POOR,
    "rotated90": WORD_ERROR_CLEAR,
}
_MADE_SCANS_FOLDER = "made_scans/"


@dataclass(frozen=True, slots=True)
class Goal:
    """`value` is None when no file of this run tells; `at_least` says which way is better."""

    name: str
    value: float | None
    goal: float
    files: int
    at_least: bool = True

    @property
    def is_met(self) -> bool | None:
        if self.value is None:
            return None
        return self.value >= self.goal if self.at_least else self.value <= self.goal


def goals(results: Sequence[FileResult]) -> list[Goal]:
    """Every goal with what was reached."""
    return [
        _similarity(results),
        *_against_peers(results),
        _phrases(results),
        *_made_scans(results),
        _mean("receipts: share of words", [r.receipt_recall for r in results], RECEIPT_WORDS),
        _transcripts(results),
        Goal(
            "files that crash an engine",
            float(sum(r.outcome is Outcome.CRASHED for r in results)),
            0.0,
            len(results),
            at_least=False,
        ),
    ]


def _similarity(results: Sequence[FileResult]) -> Goal:
    """The mean over formats of each format's mean."""
    by_format: dict[str, list[float]] = defaultdict(list)
    for result in results:
        if result.similarity is not None:
            by_format[result.format].append(result.similarity)
    value = mean(mean(scores) for scores in by_format.values()) if by_format else None
    files = sum(map(len, by_format.values()))
    return Goal("similarity to expected text, over formats", value, SIMILARITY, files)


def _against_peers(results: Sequence[FileResult]) -> list[Goal]:
    """Ours on the files that the peer reads too; the goal is the peer's own mean."""
    found = []
    for peer in sorted({name for result in results for name in result.peers}):
        pairs = [
            (result.similarity, result.peers[peer])
            for result in results
            if result.similarity is not None and peer in result.peers
        ]
        ours, theirs = mean(pair[0] for pair in pairs), mean(pair[1] for pair in pairs)
        found.append(Goal(f"similarity where {peer} reads too", ours, theirs, len(pairs)))
    return found


def _phrases(results: Sequence[FileResult]) -> Goal:
    shares = [result.phrases for result in results if result.phrases is not None]
    total = sum(share.total for share in shares)
    value = sum(share.found for share in shares) / total if total else None
    return Goal("phrases on their page", value, PHRASES_ON_THEIR_PAGE, len(shares))


def _made_scans(results: Sequence[FileResult]) -> list[Goal]:
    return [
        _mean(
            f"made scans, {kind}: word error",
            [
                result.word_error
                for result in results
                if result.name.startswith(_MADE_SCANS_FOLDER)
                and f"-{kind}-" in result.name
                and _is_known(result)
            ],
            limit,
            at_least=False,
        )
        for kind, limit in _MADE_SCANS.items()
    ]


def _transcripts(results: Sequence[FileResult]) -> Goal:
    judged = [
        result
        for result in results
        if result.within_limit is not None
        and result.character_error is not None
        and _is_known(result)
    ]
    value = mean(bool(result.within_limit) for result in judged) if judged else None
    return Goal("transcripts within their limit", value, TRANSCRIPTS_WITHIN_LIMIT, len(judged))


def _is_known(result: FileResult) -> bool:
    return result.known is None or result.known >= KNOWN_TO_MODELS


def _mean(name: str, values: Iterable[float | None], goal: float, *, at_least: bool = True) -> Goal:
    scored = [value for value in values if value is not None]
    return Goal(name, mean(scored) if scored else None, goal, len(scored), at_least)


Column = tuple[str, Callable[[FileResult], float | None]]
_COLUMNS: tuple[Column, ...] = (
    ("similarity", lambda r: r.similarity),
    ("kreuzberg", lambda r: r.peers.get("kreuzberg")),
    ("pdfium", lambda r: r.peers.get("pdfium")),
    ("pdftotext", lambda r: r.peers.get("pdftotext")),
    ("headings", lambda r: r.heading_f1),
    ("cells", lambda r: r.cell_f1),
    ("phrases", lambda r: r.phrases.found / r.phrases.total if r.phrases else None),
    ("sayings", lambda r: r.sayings.found / r.sayings.total if r.sayings else None),
    ("word error", lambda r: r.word_error),
    ("char. error", lambda r: r.character_error),
    ("receipt", lambda r: r.receipt_recall),
)


def goal_table(results: Sequence[FileResult]) -> str:
    """Markdown: a row per goal."""
    rows = [
        (
            goal.name,
            _number(goal.value),
            ("≥ " if goal.at_least else "≤ ") + _number(goal.goal),
            {True: "yes", False: "**no**", None: "not measured"}[goal.is_met],
            str(goal.files),
        )
        for goal in goals(results)
    ]
    return _table(("goal", "reached", "wanted", "met", "files"), rows)


def format_table(results: Sequence[FileResult]) -> str:
    """Markdown: a row per format, means over the files that have the score."""
    by_format: dict[str, list[FileResult]] = defaultdict(list)
    for result in results:
        by_format[result.format].append(result)
    rows = []
    for name, members in sorted(by_format.items()):
        outcomes = [sum(r.outcome is outcome for r in members) for outcome in Outcome]
        scores = [[get(r) for r in members] for _, get in _COLUMNS]
        means = [_number(_mean_of(column)) for column in scores]
        rows.append((name, *map(str, outcomes), *means))
    heads = ("format", *(outcome.value for outcome in Outcome), *(head for head, _ in _COLUMNS))
    return _table(heads, rows)


def file_table(results: Sequence[FileResult]) -> str:
    """Markdown: a row per file."""
    rows = [
        (
            result.name,
            result.outcome.value if result.failed_pages == 0 else "pages failed",
            f"{result.seconds:.1f}",
            *(_number(get(result)) for _, get in _COLUMNS),
            _limit_note(result),
        )
        for result in results
    ]
    return _table(("file", "outcome", "s", *(head for head, _ in _COLUMNS), "note"), rows)


def _limit_note(result: FileResult) -> str:
    if result.problem:
        return result.problem
    if result.known is not None and result.known < KNOWN_TO_MODELS:
        return f"the models lack {1 - result.known:.0%} of its characters"
    if result.page_count_right is False:
        return "page count differs"
    return {True: "within limit", False: "**over limit**", None: ""}[result.within_limit]


def _mean_of(values: Iterable[float | None]) -> float | None:
    scored = [value for value in values if value is not None]
    return mean(scored) if scored else None


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)
