"""What a query asks for, taken apart.

    "words side by side"     each hit has them, so
    begin*                   words that begin so, two letters at least
    -word  -"words"  -beg*   no hit has them
    heading:word             each hit stands below such a heading
    name:part                each hit is of a file whose name has this in it

`-` before `heading:` and `name:` leaves such hits out. An operator begins a query or follows a space.
Whatever else is written is words: nothing is an error.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from db.queries.asked import AskedQuery, Condition
from retrieval.letter_pairs import has_letters
from retrieval.response import UnderstoodQuery

MAX_CONDITIONS = 32
"""With those on names. Of more, phrases and names are words, and exclusions are left out."""
MAX_PREFIXES = 8
"""Of more, each is the word itself."""
MAX_BEGINNING = 100
"""Letters of a beginning; what is longer is a word. PostgreSQL's queries take 2,046 bytes."""

_QUOTE = '"“”„«»'
_PIECE = re.compile(
    rf"""
    (?P<excluded> (?<!\S) - (?= \w | [{_QUOTE}][^{_QUOTE}]+[{_QUOTE}] ) )?
    (?P<field> (?: (?<!\S) | (?<=(?<!\S)-) ) (?: name | heading ) : (?= [\w{_QUOTE}] ) )?
    (?: [{_QUOTE}] (?P<phrase> [^{_QUOTE}]* ) [{_QUOTE}] | (?P<word> \S+ ) )
    """,
    re.VERBOSE | re.IGNORECASE,
)
_BEGINNING = re.compile(rf"(\w[^\s*]{{1,{MAX_BEGINNING - 1}}})\*")
_LETTER_OR_DIGIT = re.compile(r"[^\W_]")


@dataclass(frozen=True)
class ParsedQuery:
    """`meaning`: what the query says, without its operators and what it excludes, for a search by meaning;
    empty where it says nothing. `form`: the same without fields, and with quotation marks around its
    phrases, by which its type is told (retrieval/query_types.py). `names`: parts of names that the hits'
    files have, `excluded_names` those that they have not. `is_cut`: not all of its conditions are kept."""

    asked: AskedQuery
    meaning: str
    form: str
    names: tuple[str, ...] = ()
    excluded_names: tuple[str, ...] = ()
    is_cut: bool = False

    def understood(self, synonyms: tuple[str, ...] = ()) -> UnderstoodQuery | None:
        """With what was looked for beside its words. None where all of it is words, and nothing was."""
        conditions = (
            *map(_written, self.asked.conditions),
            *(f'name:"{name}"' for name in self.names),
            *(f'-name:"{name}"' for name in self.excluded_names),
        )
        if not (self.asked.prefixes or conditions or synonyms):
            return None
        return UnderstoodQuery(
            words=self.asked.words,
            prefixes=self.asked.prefixes,
            conditions=conditions,
            synonyms=synonyms,
        )

    def marked(self, synonyms: tuple[str, ...] = ()) -> AskedQuery:
        """What is marked in passages: its words, with what was looked for beside them."""
        return replace(self.asked, words=" ".join((self.asked.words, *synonyms)))


@dataclass(frozen=True)
class _Piece:
    content: str
    field: str = ""
    is_excluded: bool = False
    is_phrase: bool = False
    is_prefix: bool = False

    @property
    def is_condition(self) -> bool:
        return self.is_excluded or self.is_phrase or bool(self.field)


def only_words(text: str) -> ParsedQuery:
    """All of it is words, whatever it looks like."""
    return ParsedQuery(AskedQuery(text), meaning=text, form=text)


def parse_query(text: str) -> ParsedQuery:
    """Of any text without NUL."""
    pieces = list(_pieces(text))
    if not any(piece.is_condition or piece.is_prefix for piece in pieces):
        return only_words(text)
    limited = [piece for piece in pieces if piece.is_condition]
    kept = limited[:MAX_CONDITIONS]
    said = [
        piece
        for piece in pieces
        if not (piece.is_excluded or (piece.field == "name" and piece in kept))
    ]
    prefixes = [piece.content for piece in said if piece.is_prefix][:MAX_PREFIXES]
    return ParsedQuery(
        AskedQuery(
            words=" ".join(
                piece.content
                for piece in said
                if not (piece.is_prefix and piece.content in prefixes)
            ),
            prefixes=tuple(dict.fromkeys(prefixes)),
            conditions=tuple(_condition(piece) for piece in kept if piece.field != "name"),
        ),
        meaning=" ".join(piece.content for piece in said),
        form=" ".join(
            f'"{piece.content}"' if piece.is_phrase else piece.content
            for piece in said
            if not piece.field
        ),
        names=tuple(_names(kept, is_excluded=False)),
        excluded_names=tuple(_names(kept, is_excluded=True)),
        is_cut=len(kept) < len(limited),
    )


def _pieces(text: str) -> Iterator[_Piece]:
    for found in _PIECE.finditer(text):
        phrase, word = found["phrase"], found["word"]
        content = word if phrase is None else phrase.strip()
        beginning = _BEGINNING.fullmatch(content) if phrase is None else None
        if beginning is not None and not has_letters(content):
            yield _Piece(
                beginning[1],
                (found["field"] or "").lower().rstrip(":"),
                is_excluded=found["excluded"] is not None,
                is_prefix=True,
            )
        elif _LETTER_OR_DIGIT.search(content):
            yield _Piece(
                content,
                (found["field"] or "").lower().rstrip(":"),
                is_excluded=found["excluded"] is not None,
                is_phrase=phrase is not None,
            )


def _condition(piece: _Piece) -> Condition:
    return Condition(piece.content, piece.field == "heading", piece.is_excluded, piece.is_prefix)


def _names(pieces: list[_Piece], *, is_excluded: bool) -> Iterator[str]:
    for piece in pieces:
        if piece.field == "name" and piece.is_excluded is is_excluded:
            yield piece.content


def _written(condition: Condition) -> str:
    content = f"{condition.content}*" if condition.is_prefix else f'"{condition.content}"'
    field = "heading:" if condition.is_heading else ""
    return f"{'-' if condition.is_excluded else ''}{field}{content}"
