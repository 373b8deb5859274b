"""Markdown taken apart: the words it says, its headings, the cells of its tables."""

import html
import re
import unicodedata
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.token import Token

_FOLDED = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛′`´", "'"),
        **dict.fromkeys("“”„‟″«»", '"'),
        **dict.fromkeys("‐‑‒–—―−", "-"),
        **dict.fromkeys("\u200b\u200c\u200d\ufeff\u00ad", None),
    }
)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W_]+")
"""Ideographs and kana are words each: nothing separates them."""


@dataclass(frozen=True, slots=True)
class MarkedText:
    """`words` are lower-cased and in order; `headings` and `cells` folded."""

    words: list[str]
    headings: list[str]
    cells: list[str]


def folded(text: str) -> str:
    """NFKC, one kind of quotes, of dashes and of white space, no characters without width."""
    return " ".join(unicodedata.normalize("NFKC", text).translate(_FOLDED).split())


def words_of(text: str) -> list[str]:
    """Lower-cased runs of letters and digits, in order."""
    return _WORD.findall(folded(text).lower())


def take_apart(markdown: str) -> MarkedText:
    """Links by their text, pictures by nothing, markup gone."""
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(markdown)
    said: list[str] = []
    headings: list[str] = []
    cells: list[str] = []
    for index, token in enumerate(tokens):
        text = _text(token)
        if text is None:
            continue
        said.append(text)
        opener = tokens[index - 1].type if index else ""
        if opener == "heading_open":
            headings.append(folded(text))
        elif opener in ("td_open", "th_open") and folded(text):
            cells.append(folded(text))
    return MarkedText(words_of("\n".join(said)), headings, cells)


def _text(token: Token) -> str | None:
    """What a block says; None where it is markup alone."""
    if token.type == "inline":
        return "".join(_inline_text(child) for child in token.children or ())
    if token.type in ("code_block", "fence"):
        return token.content
    if token.type == "html_block":
        return _without_tags(token.content)
    return None


def _inline_text(token: Token) -> str:
    if token.type in ("text", "code_inline", "text_special"):
        return html.unescape(token.content)
    if token.type == "html_inline":
        return _without_tags(token.content)
    return " " if token.type in ("softbreak", "hardbreak") else ""


def _without_tags(text: str) -> str:
    return html.unescape(_TAG.sub(" ", _COMMENT.sub(" ", text)))
