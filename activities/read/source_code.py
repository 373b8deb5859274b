"""Source code as a DoclingDocument: cut between definitions, never within a line."""

from collections.abc import Callable, Iterator
from functools import cache

import tree_sitter_bash
import tree_sitter_c
import tree_sitter_c_sharp
import tree_sitter_cpp
import tree_sitter_go
import tree_sitter_java
import tree_sitter_javascript
import tree_sitter_php
import tree_sitter_python
import tree_sitter_ruby
import tree_sitter_rust
import tree_sitter_typescript
from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.labels import CodeLanguageLabel
from tree_sitter import Language, Node, Parser

from activities.inspect.programming_languages import ProgrammingLanguage

PASSAGE_CHARACTERS = 800
"""About what an embedder's window of 256 tokens holds of code."""
MAXIMUM_LINE_CHARACTERS = 20_000
MAXIMUM_DEPTH = 6
"""A function in a class in a class in two namespaces; deeper ones are cut between lines."""

_GRAMMARS: dict[str, tuple[Callable[[], object], ...]] = {
    "c": (tree_sitter_c.language, tree_sitter_cpp.language),
    "cpp": (tree_sitter_cpp.language,),
    "cs": (tree_sitter_c_sharp.language,),
    "go": (tree_sitter_go.language,),
    "java": (tree_sitter_java.language,),
    "javascript": (tree_sitter_javascript.language,),
    "php": (tree_sitter_php.language_php,),
    "python": (tree_sitter_python.language,),
    "ruby": (tree_sitter_ruby.language,),
    "rust": (tree_sitter_rust.language,),
    "shell": (tree_sitter_bash.language,),
    "typescript": (
        tree_sitter_typescript.language_typescript,
        tree_sitter_typescript.language_tsx,
    ),
}
"""The grammars of a language, the likeliest first: a header may be C++, and TSX is TypeScript with
another meaning of angle brackets."""
_INTRODUCTIONS = frozenset({"attribute_item", "access_specifier", "attribute"})
"""What stands before a definition and belongs to it, as its comments do."""
_CONDITIONS = frozenset({"preproc_if", "preproc_ifdef", "preproc_else", "preproc_elif"})


def code_document(text: str, language: ProgrammingLanguage) -> DoclingDocument:
    """Definitions that fit a passage stay whole; small neighbours share one, with the comments that
    stand before them."""
    document = DoclingDocument(name="document")
    label = _label(language)
    text = text.replace("\0", "").replace("\r\n", "\n").replace("\r", "\n")
    for passage in _passages(text, language):
        document.add_code(text=passage, code_language=label)
    return document


def _label(language: ProgrammingLanguage) -> CodeLanguageLabel:
    try:
        return CodeLanguageLabel(language.title)
    except ValueError:
        return CodeLanguageLabel.UNKNOWN


def _passages(text: str, language: ProgrammingLanguage) -> Iterator[str]:
    rows = text.split("\n")
    cuts = _cuts(text, rows, language)
    lines, places = _bounded_lines(rows, cuts)
    block: list[str] = []
    length = 0
    for number, line in enumerate(lines):
        room = length + _length_until_next_cut(lines, places, number) <= PASSAGE_CHARACTERS
        if block and ((number in places and not room) or length + len(line) > PASSAGE_CHARACTERS):
            yield from _stripped(block)
            block, length = [], 0
        block.append(line)
        length += len(line)
    yield from _stripped(block)


def _stripped(block: list[str]) -> Iterator[str]:
    if text := "".join(block).strip("\n").rstrip():
        yield text


def _length_until_next_cut(lines: list[str], places: set[int], number: int) -> int:
    """Of the lines from one place to cut up to the next, as far as a passage goes; 0 elsewhere."""
    if number not in places:
        return 0
    length = len(lines[number])
    for following in range(number + 1, len(lines)):
        if following in places or length > PASSAGE_CHARACTERS:
            break
        length += len(lines[following])
    return length


def _bounded_lines(rows: list[str], cuts: set[int]) -> tuple[list[str], set[int]]:
    """The rows with their line ends, vast ones in parts; and the cuts as numbers of these lines."""
    lines: list[str] = []
    places = set[int]()
    for number, row in enumerate(rows):
        if number in cuts:
            places.add(len(lines))
        line = f"{row}\n"
        lines.extend(
            line[start : start + MAXIMUM_LINE_CHARACTERS]
            for start in range(0, len(line), MAXIMUM_LINE_CHARACTERS)
        )
    return lines, places


def _cuts(text: str, rows: list[str], language: ProgrammingLanguage) -> set[int]:
    """Numbers of rows, from 0, at which a new passage may begin."""
    parsers = _parsers(language.label)
    if not parsers:
        return {
            number
            for number, row in enumerate(rows)
            if row[:1].strip() and (number == 0 or not rows[number - 1].strip())
        }
    data = text.encode()
    roots = []
    for parser in parsers:
        roots.append(parser.parse(data).root_node)
        if not roots[-1].has_error:
            break
    root = min(roots, key=_misread_bytes)
    return set(_definition_rows(root.named_children, MAXIMUM_DEPTH))


def _misread_bytes(root: Node) -> int:
    """The length of what the grammar does not account for, to a child of the root."""
    return sum(_length(child) for child in root.children if child.has_error)


def _definition_rows(nodes: list[Node], depth: int) -> Iterator[int]:
    """Where each of these begins, with what introduces it; and within what is too long for a passage
    (a class, a namespace) where each of its parts does."""
    introduction: int | None = None
    last_row = -1
    for node in nodes:
        row = node.start_point[0]
        if node.type.endswith("comment") or node.type in _INTRODUCTIONS:
            if row > last_row and introduction is None:
                introduction = row
            continue
        yield row if introduction is None else introduction
        introduction, last_row = None, node.end_point[0]
        if depth and _length(node) > PASSAGE_CHARACTERS:
            yield from _definition_rows(_parts(node), depth - 1)


def _parts(node: Node) -> list[Node]:
    """What stands in the node's body, or in that of the one thing that it is wrapped around: a
    decorator, a template, an export and an assignment are."""
    while True:
        body = node.child_by_field_name("body")
        if body is not None:
            return body.named_children
        inner = max(node.named_children, key=_length, default=node)
        if node.type in _CONDITIONS or 2 * _length(inner) < _length(node) or inner == node:
            return node.named_children
        node = inner


def _length(node: Node) -> int:
    return node.end_byte - node.start_byte


@cache
def _parsers(label: str) -> tuple[Parser, ...]:
    return tuple(Parser(Language(grammar())) for grammar in _GRAMMARS.get(label, ()))
