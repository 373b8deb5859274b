"""Compares what was read with what a case says stands in it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bench.quality.cases import Case, Truth
from bench.quality.marked_text import MarkedText, folded, take_apart, words_of
from bench.quality.ours import Reading
from bench.quality.results import FileResult, Share
from bench.quality.scores import character_error, contains, f1, word_error, word_similarity

_MARKDOWN_PEERS = frozenset({"kreuzberg"})


@dataclass(frozen=True, slots=True)
class Scorer:
    """`alphabet` holds the characters that the default OCR engine's models can give."""

    alphabet: frozenset[str]

    def score(
        self, result: FileResult, case: Case, reading: Reading, peers: Mapping[str, str]
    ) -> FileResult:
        """The result with every score that the case allows."""
        result = replace(
            result,
            engines=reading.engines,
            failed_pages=reading.failed,
            page_count_right=_page_count_right(case, reading),
            phrases=_phrases(case, reading),
            sayings=_sayings(case, reading),
        )
        if case.truth is None:
            return _judged_by_sayings(result, case)
        if case.truth in (Truth.MARKDOWN, Truth.TEXT):
            return _by_text(result, case, reading, peers)
        if case.truth is Truth.TRANSCRIPT:
            return self._by_transcript(result, case, reading)
        if case.truth is Truth.RECEIPT:
            recall = 1 - word_error(words_of(reading.text), words_of(case.truth_text()))
            return replace(result, receipt_recall=recall)
        cells = [folded(cell) for cell in case.truth_cells() if folded(cell)]
        return replace(result, cell_f1=f1(take_apart(reading.markdown).cells, cells))

    def _by_transcript(self, result: FileResult, case: Case, reading: Reading) -> FileResult:
        truth = folded(case.truth_text())
        pages = [reading.pages.get(page, "") for page in case.truth_pages]
        ours = folded("\n".join(pages) if pages else reading.text)
        characters = character_error(ours, truth)
        words = word_error(_spaced_words(ours), _spaced_words(truth))
        limits = [
            error <= limit
            for error, limit in ((characters, case.max_cer), (words, case.max_word_error))
            if limit is not None
        ]
        letters = [character for character in truth if not character.isspace()]
        known = sum(character in self.alphabet for character in letters) / max(1, len(letters))
        return replace(
            result,
            character_error=characters,
            word_error=words,
            known=known,
            within_limit=all(limits) if limits else None,
        )


def _spaced_words(text: str) -> list[str]:
    """As the limits are meant: cut at white space. A lone dash or bullet is no word."""
    return [word for word in text.lower().split() if any(map(str.isalnum, word))]


def _by_text(
    result: FileResult, case: Case, reading: Reading, peers: Mapping[str, str]
) -> FileResult:
    ours = take_apart(reading.markdown)
    is_markdown = case.truth is Truth.MARKDOWN
    text = case.truth_text()
    truth = take_apart(text) if is_markdown else MarkedText(words_of(text), [], [])
    return replace(
        result,
        similarity=word_similarity(ours.words, truth.words),
        peers={
            name: word_similarity(_peer_words(name, said), truth.words)
            for name, said in peers.items()
        },
        heading_f1=f1(ours.headings, truth.headings),
        cell_f1=f1(ours.cells, truth.cells),
    )


def _peer_words(name: str, said: str) -> list[str]:
    return take_apart(said).words if name in _MARKDOWN_PEERS else words_of(said)


def _page_count_right(case: Case, reading: Reading) -> bool | None:
    if case.page_count is None:
        return None
    return len(reading.pages) + reading.failed == case.page_count


def _phrases(case: Case, reading: Reading) -> Share | None:
    """Each on its own page."""
    if not case.phrases:
        return None
    pages = {number: words_of(text) for number, text in reading.pages.items()}
    found = sum(
        contains(pages.get(phrase.page, []), words_of(phrase.text)) for phrase in case.phrases
    )
    return Share(found, len(case.phrases))


def _sayings(case: Case, reading: Reading) -> Share | None:
    if not case.sayings:
        return None
    text = folded("\n".join([reading.text, *reading.pages.values()])).lower()
    return Share(sum(folded(saying).lower() in text for saying in case.sayings), len(case.sayings))


def _judged_by_sayings(result: FileResult, case: Case) -> FileResult:
    if result.sayings is None:
        return result
    enough = result.sayings.found >= case.least_sayings * result.sayings.total
    return replace(result, within_limit=enough)
