"""Cutting an item that is longer than the window."""

import re
from collections.abc import Iterator
from itertools import groupby
from typing import cast

from docling_core.transforms.chunker.doc_chunk import DocChunk
from docling_core.transforms.chunker.hierarchical_chunker import ChunkingDocSerializer
from docling_core.transforms.chunker.hybrid_chunker import HybridChunker
from docling_core.transforms.chunker.tokenizer.base import BaseTokenizer
from docling_core.transforms.serializer.base import BaseDocSerializer
from docling_core.types.doc.items.table.table import TableItem
from semchunk.semchunk import chunkerify

from activities.chunk.tokens import CHARACTERS_PER_TOKEN, LONGEST_KNOWN_WORD, token_starts

_LONGEST_GAP = 64
_WORD_OR_GAP = re.compile(rf"\S+|\s{{{_LONGEST_GAP},}}")
_MARKS = ("。！？.!?", "；，、;,:)]}>/&-_")
"""Where a word may be cut, the best places first. Chinese, Japanese and Thai put no space between
sentences, a minified script none between statements."""


class SegmentingChunker(HybridChunker):
    """docling's chunker, which cuts words longer than the window in time linear in their length.

    docling's own splitter (semchunk) looks for the first cut of such a word one character after the
    other and counts the tokens of all that is left each time: 20,000 brackets take it minutes. It
    also calls itself once more for every length that gaps between words have, and docling's splitter
    of table rows counts the rest of a row for each piece.
    """

    def segment(
        self, doc_chunk: DocChunk, available_length: int, doc_serializer: BaseDocSerializer
    ) -> list[str]:
        items = doc_chunk.meta.doc_items
        if not (len(items) == 1 and isinstance(items[0], TableItem)):
            segments = self._segments_of_text(doc_chunk.text, available_length)
        elif not _has_vast_word(doc_chunk.text):
            segments = super().segment(doc_chunk, available_length, doc_serializer)
        else:
            segments = self._segments_of_table(doc_chunk, available_length, doc_serializer)
        return segments or [""]  # the caller looks for the longest

    def _segments_of_text(self, text: str, limit: int) -> list[str]:
        segments: list[str] = []
        for part, is_overlong in _parts(text, limit, self.tokenizer):
            if is_overlong:
                segments.extend(_pieces(part, limit, self.tokenizer))
            elif part.strip():
                cut = chunkerify(self.tokenizer.get_tokenizer(), chunk_size=limit)
                segments.extend(cast(list[str], cut(part)))
        return segments

    def _segments_of_table(
        self, doc_chunk: DocChunk, limit: int, doc_serializer: BaseDocSerializer
    ) -> list[str]:
        """Rows as docling cuts them, below their header; a row with a vast word as text."""
        assert isinstance(doc_serializer, ChunkingDocSerializer)  # noqa: S101 - the provider's
        text = doc_chunk.text
        header, rows = doc_serializer.table_serializer.get_header_and_body_lines(table_text=text)
        above = text[: len(text) - sum(map(len, rows))]
        if _has_vast_word(above):
            return self._segments_of_text(text, limit)
        segments: list[str] = []
        for has_vast_word, group in groupby(rows, _has_vast_word):
            if not has_vast_word:
                part = doc_chunk.model_copy(update={"text": above + "".join(group)})
                segments.extend(super().segment(part, limit, doc_serializer))
            else:
                # What stands above the first rows is said once, whatever these are.
                led = above if not segments else ""
                segments.extend(self._segments_of_text(led + "".join(group), limit))
            above = "".join(header)
        return segments


def _has_vast_word(text: str) -> bool:
    """Shorter ones are counted once, however often docling asks."""
    return any(len(word) > LONGEST_KNOWN_WORD for word in text.split())


def _parts(text: str, limit: int, tokenizer: BaseTokenizer) -> Iterator[tuple[str, bool]]:
    """The words of more than `limit` tokens, each said to be so, and what stands between them and
    between vast gaps."""
    start = 0
    for found in _WORD_OR_GAP.finditer(text):
        is_gap = found.group()[0].isspace()
        if is_gap or tokenizer.count_tokens(found.group()) > limit:
            yield text[start : found.start()], False
            yield found.group(), not is_gap
            start = found.end()
    yield text[start:], False


def _pieces(word: str, limit: int, tokenizer: BaseTokenizer) -> Iterator[str]:
    start = 0
    while start < len(word):
        for characters_per_token in (2, CHARACTERS_PER_TOKEN):
            ahead = word[start : start + limit * characters_per_token]
            end = _fitting(ahead, limit, tokenizer)
            if end < len(ahead):
                break
        if start + end < len(word):
            end = _last_mark(ahead[:end])
        yield ahead[:end]
        start += end


def _fitting(text: str, limit: int, tokenizer: BaseTokenizer) -> int:
    """With how many of its characters the text has `limit` tokens or fewer; one at least."""
    starts = token_starts(text)
    end = max(starts[limit], 1) if len(starts) > limit else len(text)
    # What stands alone may have more tokens than it had within the word.
    while end > 1 and tokenizer.count_tokens(text[:end]) > limit:
        end = end * 3 // 4
    return end


def _last_mark(text: str) -> int:
    """Behind the last of the best marks in the text's second half; its end where there is none."""
    for marks in _MARKS:
        place = max(text.rfind(mark, len(text) // 2) for mark in marks)
        if place >= 0:
            return place + 1
    return len(text)
