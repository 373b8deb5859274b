"""Which of the passages that were found are shown: each thing that is said once, and so many of a file."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from db.queries.search import FoundPassage
from retrieval.near_duplicates import Asked, Said, says_the_same
from retrieval.reading import PassageReading
from retrieval.request import SearchRequest

LOOKED_AT_FURTHER = 10
"""Passages behind the last hit that are looked through for others that say the same."""


@dataclass
class Selected:
    """A passage that is shown, and those that say the same and are not."""

    passage: FoundPassage
    said: Said
    duplicates: list[FoundPassage] = field(default_factory=list)


async def select(
    order: Sequence[UUID], reading: PassageReading, request: SearchRequest
) -> list[Selected]:
    """The best `top_k` of these, in their order. Further ones are read, twice as many each time, where those
    before were not to be had, said the same as others or were too many of their file."""
    selection = _Selection(request, Asked.of(reading.marked.words, reading.marked.prefixes))
    start, amount = 0, request.top_k
    if not request.show_duplicates:
        amount += LOOKED_AT_FURTHER
    while start < len(order) and not selection.is_full:
        for passage in await reading.passages(order[start : start + amount]):
            selection.take(passage, is_readable=passage.chunk_id not in reading.out_of_reach)
        start, amount = start + amount, amount * 2
    return selection.selected


class _Selection:
    def __init__(self, request: SearchRequest, asked: Asked) -> None:
        self._request = request
        self._asked = asked
        self._of_file: Counter[UUID] = Counter()
        self.selected: list[Selected] = []

    @property
    def is_full(self) -> bool:
        return len(self.selected) == self._request.top_k

    def take(self, passage: FoundPassage, *, is_readable: bool) -> None:
        said = Said.of(passage.headings, passage.text if is_readable else "")
        same = None if self._request.show_duplicates else self._same_as(said)
        if same is not None:
            same.duplicates.append(passage)
            return
        most = self._request.max_per_file
        if self.is_full or (most is not None and self._of_file[passage.file_id] >= most):
            return
        self._of_file[passage.file_id] += 1
        self.selected.append(Selected(passage, said))

    def _same_as(self, said: Said) -> Selected | None:
        return next(
            (each for each in self.selected if says_the_same(each.said, said, self._asked)), None
        )
