"""Tokens in the place of values, wherever a document has them."""

import re
from collections.abc import Iterator, Sequence

from docling_core.types.doc.common.content_layer import ContentLayer
from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.items.table.table import TableItem
from docling_core.types.doc.items.table.table_data import TableCell
from docling_core.types.doc.items.text import TextItem

from activities.chunk.calls import MaskedValue
from activities.classify.values import Place, ValueFinder, folded
from muniment.contracts.documents import Chunk

_BREAK = "\ue000"
"""Of private use: what stands on both sides of a token is not one value."""
_SURELY_THE_SAME = 8
"""Letters and digits that are a value's even where anything stands between them."""


class Masker:
    """Finds values however they are written: lines are broken otherwise in a passage than on its page,
    and hyphens go where they are joined. A value is replaced inside a longer word, too: rather too
    much than too little."""

    def __init__(self, masks: Sequence[MaskedValue]) -> None:
        self._values = [mask.value for mask in masks]
        self._tokens = {folded(mask.value): mask.token for mask in masks}
        self._tokens.pop("", None)
        self._finder = ValueFinder(self._tokens)
        longest_first = sorted({*self._tokens.values()}, key=len, reverse=True)
        self._written_tokens = re.compile("|".join(map(re.escape, longest_first)) or "(?!)")

    def masked(self, text: str) -> str:
        """The text with a token for each value; of two that begin at one place for the longer one. Where
        values overlap, one stretch with the tokens of both."""
        return self.masked_together([text])[0]

    def masked_together(self, texts: Sequence[str]) -> list[str]:
        """Texts that follow each other; of a value that several hold together each has the token."""
        if not self._tokens:
            return list(texts)
        places: dict[int, list[Place]] = {}
        for place in self._finder.places(texts):
            places.setdefault(place.text, []).append(place)
        return [
            self._replaced(text, places[number]) if number in places else text
            for number, text in enumerate(texts)
        ]

    def mask_document(self, document: DoclingDocument) -> None:
        """Changes every text in it; links go, since they hold addresses."""
        if not self._tokens:
            return
        items = _in_reading_order(document)
        texts = [item for item in items if isinstance(item, TextItem)]
        originals = self.masked_together([item.orig for item in texts])
        for item, original in zip(texts, originals, strict=True):
            item.orig, item.hyperlink = original, None
        holders = [holder for item in items for holder in _holders(item)]
        shown = self.masked_together([holder.text for holder in holders])
        for holder, text in zip(holders, shown, strict=True):
            holder.text = text

    def masked_chunks(self, chunks: Sequence[Chunk]) -> list[Chunk]:
        """What stood in two items of the document is one value in the passage, or in two of them."""
        if not self._tokens:
            return list(chunks)
        texts = self.masked_together([chunk.text for chunk in chunks])
        return [
            chunk.model_copy(
                update={"text": text, "headings": tuple(self.masked_together(chunk.headings))}
            )
            for chunk, text in zip(chunks, texts, strict=True)
        ]

    def unmasked_count(self, chunks: Sequence[Chunk]) -> int:
        """Values that can still be found in the passages by whoever reads no more than their letters and
        digits; and those that hold none, which nobody can look for. Zero is what lets them be seen."""
        cores = {_core(value) for value in self._values}
        headings = {heading for chunk in chunks for heading in chunk.headings}
        passages = "".join(self._without_tokens(chunk.text) for chunk in chunks)
        read = [_core(passages), *(_core(self._without_tokens(each)) for each in headings)]
        left = sum(
            any(core in text for text in read) for core in cores if len(core) >= _SURELY_THE_SAME
        )
        return left + sum(not folded(value) for value in {*self._values})

    def _without_tokens(self, text: str) -> str:
        return self._written_tokens.sub(_BREAK, text)

    def _replaced(self, text: str, places: Sequence[Place]) -> str:
        parts: list[str] = []
        behind = 0
        for place in places:
            if place.end <= behind:
                continue
            if place.start >= behind:
                parts.append(text[behind : place.start])
            parts.append(self._tokens[place.value])
            behind = place.end
        return "".join([*parts, text[behind:]])


def _in_reading_order(document: DoclingDocument) -> list[TextItem | TableItem]:
    """Every item that has text; those that the document's tree does not lead to behind all others."""
    walked = document.iterate_items(traverse_pictures=True, included_content_layers={*ContentLayer})
    found = [item for item, _ in walked if isinstance(item, TextItem | TableItem)]
    seen = {item.self_ref for item in found}
    found += [item for item in document.texts if item.self_ref not in seen]
    found += [item for item in document.tables if item.self_ref not in seen]
    return found


def _holders(item: TextItem | TableItem) -> Iterator[TextItem | TableCell]:
    if isinstance(item, TextItem):
        yield item
    else:
        yield from item.data.table_cells


def _core(text: str) -> str:
    return "".join(each for each in folded(text) if each.isalnum() or each == _BREAK)
