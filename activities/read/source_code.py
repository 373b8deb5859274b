"""Source code as a DoclingDocument: cut between definitions, never within a line."""

from collections.abc import Iterator
from functools import cache

import tree_sitter_c
import tree_sitter_javascript
import tree_sitter_python
import tree_sitter_typescript
from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.labels import CodeLanguageLabel
from tree_sitter import Language, Node, Parser

from activities.inspect.programming_languages import ProgrammingLanguage

PASSAGE_CHARACTERS = 800
"""About what an embedder's window of 256 tokens holds of code."""
MAXIMUM_LINE_CHARACTERS = 20_000

_GRAMMARS = {
    "python": tree_sitter_python.language,
    "c": tree_sitter_c.language,
    "cpp": tree_sitter_c.language,
    "javascript": tree_sitter_javascript.language,
    "typescript": tree_sitter_typescript.language_typescript,
}


def code_document(text: str, language: ProgrammingLanguage) -> DoclingDocument:
    """Definitions that fit a passage stay whole; small neighbours share one, with the comments that
    stand before them."""
    document = DoclingDocument(name="document")
    label = _label(language)
    for passage in _passages(text.replace("\0", ""), language):
        document.add_code(text=passage, code_language=label)
    return document


def _label(language: ProgrammingLanguage) -> CodeLanguageLabel:
    try:
        return CodeLanguageLabel(language.title)
    except ValueError:
        return CodeLanguageLabel.UNKNOWN


def _passages(text: str, language: ProgrammingLanguage) -> Iterator[str]:
    lines = _bounded_lines(text)
    cuts = _cuts(text, lines, language)
    block: list[str] = []
    for number, line in enumerate(lines):
        length = sum(map(len, block))
        room = length + len(_until_next_cut(lines, cuts, number)) <= PASSAGE_CHARACTERS
        if block and ((number in cuts and not room) or length + len(line) > PASSAGE_CHARACTERS):
            yield from _stripped(block)
            block = []
        block.append(line)
    yield from _stripped(block)


def _stripped(block: list[str]) -> Iterator[str]:
    if text := "".join(block).strip("\n").rstrip():
        yield text


def _until_next_cut(lines: list[str], cuts: set[int], number: int) -> str:
    """The lines from one place to cut up to the next, as far as a passage goes."""
    if number not in cuts:
        return ""
    taken, length = [lines[number]], len(lines[number])
    for following in range(number + 1, len(lines)):
        if following in cuts or length > PASSAGE_CHARACTERS:
            break
        taken.append(lines[following])
        length += len(lines[following])
    return "".join(taken)


def _bounded_lines(text: str) -> list[str]:
    return [
        line[start : start + MAXIMUM_LINE_CHARACTERS]
        for line in text.splitlines(keepends=True)
        for start in range(0, max(1, len(line)), MAXIMUM_LINE_CHARACTERS)
    ]


def _cuts(text: str, lines: list[str], language: ProgrammingLanguage) -> set[int]:
    """Numbers of lines, from 0, at which a new passage may begin."""
    parser = _parser(language.label)
    if parser is None:
        return {
            number
            for number, line in enumerate(lines)
            if line[:1].strip() and (number == 0 or not lines[number - 1].strip())
        }
    root = parser.parse(text.encode()).root_node
    cuts = set[int]()
    comment: int | None = None
    for node in _definitions(root):
        row = node.start_point[0]
        if node.type == "comment":
            comment = row if comment is None else comment
            continue
        cuts.add(row if comment is None else comment)
        comment = None
    return cuts


def _definitions(root: Node) -> Iterator[Node]:
    """What stands at the top, and within what is too long for a passage (a class) its members."""
    for node in root.children:
        yield node
        if node.end_byte - node.start_byte > PASSAGE_CHARACTERS:
            body = node.child_by_field_name("body")
            if body is not None:
                yield from body.children


@cache
def _parser(label: str) -> Parser | None:
    grammar = _GRAMMARS.get(label)
    return Parser(Language(grammar())) if grammar is not None else None
