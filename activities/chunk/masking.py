"""Tokens in the place of values, wherever a document has them."""

from collections.abc import Iterator, Sequence

from docling_core.types.doc.document import DoclingDocument

from activities.chunk.calls import MaskedValue
from muniment.contracts.documents import Chunk

_LONGEST_KEY = 4
"""Characters by which it is seen whether any value can begin at a place."""


class Masker:
    """Finds values whatever white space stands in and between their words: lines are broken otherwise in
    a passage than on its page. A value is replaced inside a longer word, too: rather too much than
    too little."""

    def __init__(self, masks: Sequence[MaskedValue]) -> None:
        self._tokens = {_squeezed(mask.value): mask.token for mask in masks}
        self._tokens.pop("", None)
        self._key_length = min(map(len, self._tokens), default=0)
        self._key_length = min(self._key_length, _LONGEST_KEY)
        lengths: dict[str, set[int]] = {}
        for value in self._tokens:
            lengths.setdefault(value[: self._key_length], set()).add(len(value))
        self._lengths = {key: sorted(of_key, reverse=True) for key, of_key in lengths.items()}

    def masked(self, text: str) -> str:
        """The text with a token for each value; of two that begin at one place for the longer one. Where
        values overlap, one stretch with the tokens of both."""
        if not self._tokens or not text:
            return text
        places = [place for place, character in enumerate(text) if not character.isspace()]
        squeezed = "".join(text[place] for place in places)
        parts: list[str] = []
        behind = 0
        end_before = 0
        for start, end in self._found(squeezed):
            if end <= end_before:
                continue
            if start >= end_before:
                parts.append(text[behind : places[start]])
            parts.append(self._tokens[squeezed[start:end]])
            behind, end_before = places[end - 1] + 1, end
        return "".join([*parts, text[behind:]])

    def mask_document(self, document: DoclingDocument) -> None:
        """Changes every text in it; links go, since they hold addresses."""
        if not self._tokens:
            return
        for item in document.texts:
            item.text, item.orig = self.masked(item.text), self.masked(item.orig)
            item.hyperlink = None
        for table in document.tables:
            for cell in table.data.table_cells:
                cell.text = self.masked(cell.text)

    def masked_chunk(self, chunk: Chunk) -> Chunk:
        """What stood in two items of the document is one value in the passage."""
        if not self._tokens:
            return chunk
        headings = tuple(self.masked(heading) for heading in chunk.headings)
        return chunk.model_copy(update={"text": self.masked(chunk.text), "headings": headings})

    def _found(self, squeezed: str) -> Iterator[tuple[int, int]]:
        """Stretches in the order of their beginnings."""
        for place in range(len(squeezed)):
            lengths = self._lengths.get(squeezed[place : place + self._key_length], ())
            length = next(
                (each for each in lengths if squeezed[place : place + each] in self._tokens), 0
            )
            if length:
                yield place, place + length


def _squeezed(value: str) -> str:
    return "".join(value.split())
