"""What a model is told: the rules, the passages that fit into its window, and the question.

Passages are data. They stand between marks that hold a nonce, which no document can know, and nothing in
them can be taken for a mark of the model's own template.
"""

import re
import secrets
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from retrieval.invisible import without_invisible
from retrieval.language_models.completion import Message
from retrieval.language_models.tokens import PER_MESSAGE, estimate

FOLDER = Path(__file__).parents[1] / "prompts"
NO_ANSWER = "NO_ANSWER"
"""What the rules have a model say when the passages do not answer."""

_SMALLEST_CUT_TOKENS = 100
# <|im_start|>, <｜User｜>, <start_of_turn>, <s>, <think>, <<SYS>>, [INST], [SYSTEM_PROMPT]: a server would
# read them as its own.
_TEMPLATE_MARK = re.compile(
    r"<\s*([|\uff5c])|<(?=/?(?:s|start_of_turn|end_of_turn|bos|eos|pad|unk|think)>)|<<(?=/?SYS>>)"
    r"|\[(?=/?INST\])|(?-i:\[(?=/?[A-Z_]{3,30}\]))",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class NumberedPassage:
    """`number` is what it is cited by, from 1."""

    number: int
    text: str


@dataclass(frozen=True)
class Packed:
    """A request's words, and the numbers of the passages that are in them."""

    messages: tuple[Message, ...]
    numbers: frozenset[int]


class AnswerPrompt:
    """A version of the prompt: a folder of `retrieval/prompts`, read once."""

    def __init__(self, version: str) -> None:
        self.version = version
        self._system = _template(version, "system")
        self._user = _template(version, "user")

    def pack(self, question: str, passages: Sequence[NumberedPassage], room_tokens: int) -> Packed:
        """With as many passages as fit, in the order of their rank; the first is cut where it alone is too
        long, and one that does not fit leaves its room to the next."""
        nonce = secrets.token_hex(8)
        system = self._system.substitute(nonce=nonce)
        asked = _defused(question)
        frame = self._user.substitute(nonce=nonce, passages="", question=asked)
        left = room_tokens - estimate(system) - estimate(frame) - 2 * PER_MESSAGE
        shown: list[str] = []
        numbers: set[int] = set()
        for passage in passages:
            block = _block(passage, nonce)
            if not shown and estimate(block) > left >= _SMALLEST_CUT_TOKENS:
                block = _beginning(passage, nonce, left)
            if estimate(block) <= left:
                left -= estimate(block)
                shown.append(block)
                numbers.add(passage.number)
        user = self._user.substitute(nonce=nonce, passages="\n".join(shown), question=asked)
        return Packed(
            (Message(role="system", content=system), Message(role="user", content=user)),
            frozenset(numbers),
        )


def _block(passage: NumberedPassage, nonce: str) -> str:
    return (
        f'<passage-{nonce} number="{passage.number}">\n{_defused(passage.text)}\n</passage-{nonce}>'
    )


def _beginning(passage: NumberedPassage, nonce: str, tokens: int) -> str:
    """With as much of its text as comes to so many tokens."""

    def block(length: int) -> str:
        return _block(NumberedPassage(passage.number, passage.text[:length]), nonce)

    lengths = range(len(passage.text))
    return block(bisect_right(lengths, tokens, key=lambda length: estimate(block(length))) - 1)


def _defused(text: str) -> str:
    """Without what nobody sees, and with a gap in what a template could take for its own mark."""
    return _TEMPLATE_MARK.sub(
        lambda mark: f"{mark.group()[0]} {mark.group(1) or ''}", without_invisible(text)
    )


def _template(version: str, part: str) -> Template:
    return Template((FOLDER / version / f"{part}.txt").read_text(encoding="utf-8"))
