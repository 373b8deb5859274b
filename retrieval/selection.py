"""Which of the passages that were found are shown: each thing that is said once, and so many of a file."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from db.queries.search import FoundPassage
from retrieval.near_duplicates import Said
from retrieval.reading import PassageReading
from retrieval.request import SearchRequest

LOOKED_AT_FURTHER = 10
"""Passages behind the last hit that are looked through for others that say the same."""
LEAST_FURTHER = 20
"""Passages that are read at once where those before were not enough."""


@dataclass
class Selected:
    """A passage that is shown, and those that say the same and are not."""

    passage: FoundPassage
    duplicates: list[FoundPassage] = field(default_factory=list)


async def select(
    order: Sequence[UUID], reading: PassageReading, request: SearchRequest, most: int
) -> list[Selected]:
    """The best `most` of these, in their order. Further ones are read, twice as many each time, where those
    before were not to be had, said the same as others or were too many of their file."""
    selection = _Selection(request, most)
    start, amount = 0, most
    if not request.show_duplicates:
        amount += LOOKED_AT_FURTHER
    while start < len(order) and not selection.is_full:
        for passage in await reading.passages(order[start : start + amount]):
            selection.take(passage, is_readable=passage.chunk_id not in reading.out_of_reach)
        start, amount = start + amount, max(amount * 2, LEAST_FURTHER)
    return selection.selected


def in_order(selected: Sequence[Selected], first: Sequence[UUID]) -> list[Selected]:
    """Those of the passages `first` in their order, then the others in theirs."""
    places = {chunk_id: place for place, chunk_id in enumerate(first)}
    return sorted(selected, key=lambda each: places.get(each.passage.chunk_id, len(places)))


class _Selection:
    def __init__(self, request: SearchRequest, most: int) -> None:
        self._request = request
        self._most = most
        self._of_file: Counter[UUID] = Counter()
        self._first: dict[Said, Selected] = {}
        self.selected: list[Selected] = []

    @property
    def is_full(self) -> bool:
        return len(self.selected) == self._most

    def take(self, passage: FoundPassage, *, is_readable: bool) -> None:
        said = Said.of(passage.headings, passage.text)
        is_compared = is_readable and bool(said.letters) and not self._request.show_duplicates
        if is_compared and said in self._first:
            self._first[said].duplicates.append(passage)
            return
        most = self._request.max_per_file
        if self.is_full or (most is not None and self._of_file[passage.file_id] >= most):
            return
        self._of_file[passage.file_id] += 1
        self.selected.append(Selected(passage))
        if is_compared:
            self._first[said] = self.selected[-1]
