"""Whether a passage speaks to a machine instead of to its readers.

Triage, not a boundary: what is found lowers a passage's rank and is shown; what keeps an injected
instruction harmless is that an answer has no tools, no links, and citations that are checked. Patterns are
of phrases that documents for people do not hold, in ten languages; a text about such attacks is found too,
and is answered from all the same.
"""

import re
from collections.abc import Iterator
from enum import StrEnum

from retrieval.invisible import hidden_count, revealed


class InjectionSign(StrEnum):
    INSTRUCTION = "instruction"
    """To forget what was said, to reveal it, or to be somebody else."""
    ROLE = "role"
    """A mark of a chat template, or a line that plays a role in a conversation."""
    DELIMITER = "delimiter"
    """A mark that pretends to end the documents."""
    HIDDEN = "hidden"
    """Characters that nobody sees."""
    EXFILTRATION = "exfiltration"
    """A remote image or link that would carry something away."""
    TOOL = "tool"
    """A call of a tool, as models write them."""


MOST_HIDDEN = 3
"""A stray mark or two comes out of word processors."""

_PREVIOUS = (
    r"(?:all\s+|any\s+|the\s+|these\s+|your\s+)*(?:previous|prior|above|earlier|preceding|former)"
)
_PHRASES = (
    # English
    rf"\b(?:ignore|disregard|forget|override|bypass)\s+{_PREVIOUS}\b",
    r"\b(?:ignore|disregard|forget)\s+(?:all\s+|any\s+)?(?:of\s+)?(?:your|the|these|those)\s+"
    r"(?:\w+\s+)?(?:instructions?|rules|guidelines|prompts?|directions)\b",
    r"\b(?:reveal|print|repeat|show|output)\s+(?:me\s+)?(?:your|the)\s+(?:\w+\s+)?"
    r"(?:system\s+prompt|hidden\s+instructions?|initial\s+instructions?)\b",
    r"\b(?:you\s+are\s+now|from\s+now\s+on,?\s+you|act\s+as\s+(?:an?\s+)?(?:unrestricted|dan\b))",
    r"\bnew\s+(?:system\s+)?instructions?\s*:",
    r"\b(?:attention|note|message|instructions?)\s*(?:to|for)\s+(?:the\s+|any\s+|all\s+)?"
    r"(?:ai|llm|language\s+model|assistant|chatbot|summari[sz]er)s?\b",
    r"\b(?:as\s+an?\s+ai|dear\s+(?:ai|assistant|llm|chatbot))\b",
    r"\b(?:when|if)\s+(?:asked|summari[sz]ing|answering)[^.\n]{0,60}\b(?:always|only)\s+(?:say|answer|reply|write)\b",
    # German
    r"\b(?:ignorier\w*|vergiss|vergessen\s+sie|missachte\w*)\s+(?:bitte\s+)?(?:alle\s+|die\s+|deine\s+|ihre\s+|"
    r"s(?:ä|ae)mtliche\s+)*(?:vorherigen|vorigen|bisherigen|obigen|vorangehenden|fr(?:ü|ue)heren)\b",
    r"\b(?:neue\s+anweisung\w*\s*:|gib\s+(?:mir\s+)?(?:deinen|den)\s+systemprompt)",
    # French
    r"\b(?:ignore[zr]?|oublie[zr]?)\s+(?:toutes?\s+|les\s+|tes\s+|vos\s+)*"
    r"(?:instructions?|consignes?|r(?:è|e)gles)\b",
    # Spanish, Portuguese, Italian
    r"\b(?:ignora|ignore|olvida|olvide|esque[cç]a|dimentica)\s+(?:todas?\s+|tutte\s+)?(?:las\s+|as\s+|le\s+|tus\s+)?"
    r"(?:instrucciones|instru[cç][oõ]es|istruzioni|reglas|regras|regole)\b",
    # Dutch
    r"\b(?:negeer|vergeet)\s+(?:alle\s+|de\s+|je\s+|uw\s+)*(?:vorige|eerdere|bovenstaande|voorgaande)\b",
    # Russian
    r"(?:игнорируй|проигнорируй|забудь)(?:те)?\s+(?:все\s+|всё\s+)?(?:предыдущие|прежние|вышеуказанные)",
    # Chinese, Japanese
    r"(?:忽略|无视|忘记)(?:掉)?(?:之前|以上|上述|先前|前面)?(?:的)?(?:所有|一切)?(?:之前|以上|先前)?的?(?:指令|指示|说明|规则|提示)",
    r"(?:以前|これまで|上記|以上)の(?:すべての|全ての)?(?:指示|命令|ルール)を(?:無視|忘れ)",
)
_INSTRUCTION = re.compile("|".join(_PHRASES), re.IGNORECASE)

_ROLE = re.compile(
    r"<\|[a-z_\u2581]{2,30}\|>|<</?SYS>>|</?(?:start|end)_of_turn>|</?think>"
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\]"
    r"|(?:^|(?<=[.!?] ))[ \t]{0,8}(?:#{1,3} ?|\*\*)?"
    r"(?:(?-i:SYSTEM|ASSISTANT|DEVELOPER)|assistant|system (?:message|prompt|note))(?:\*\*)?[ \t]?:",
    re.IGNORECASE | re.MULTILINE,
)
_DELIMITER = re.compile(
    r"</?(?:passage|document|context|question|system|instructions?|user|data)(?:[-_ ][\w-]{0,40})?\s*>"
    r"|-{3,}\s*(?:end|begin)\s+of\s+(?:passages?|documents?|context|data|input)\b",
    re.IGNORECASE,
)
_EXFILTRATION = re.compile(
    r"!\[[^\]\n]{0,200}\]\(\s*<?(?:[a-z]+:)?//|<img\b[^>]{0,200}\bsrc", re.IGNORECASE
)
_TOOL = re.compile(
    r"<(?:tool_call|function_calls?|invoke)\b|\"(?:tool_calls|function_call)\"\s*:"
    r"|\{\s*\"name\"\s*:\s*\"\w{1,60}\"\s*,\s*\"(?:arguments|parameters)\"\s*:",
    re.IGNORECASE,
)
_PATTERNS = (
    (InjectionSign.INSTRUCTION, _INSTRUCTION),
    (InjectionSign.ROLE, _ROLE),
    (InjectionSign.DELIMITER, _DELIMITER),
    (InjectionSign.EXFILTRATION, _EXFILTRATION),
    (InjectionSign.TOOL, _TOOL),
)


def sign_places(text: str) -> Iterator[tuple[InjectionSign, int, int]]:
    """Each sign of a text and where it is, in code points; what only a machine reads so, by its line."""
    for sign, pattern in _PATTERNS:
        for found in pattern.finditer(text):
            yield sign, found.start(), found.end()
    if text.isascii():
        return
    is_hiding = hidden_count(text) > MOST_HIDDEN
    behind = 0
    for line in text.splitlines(keepends=True):
        start, behind = behind, behind + len(line)
        end = start + len(line.rstrip())
        read = line if line.isascii() else revealed(line)
        if read != line:
            for sign, pattern in _PATTERNS:
                if pattern.search(read) and not pattern.search(line):
                    yield sign, start, end
        if is_hiding and hidden_count(line):
            yield InjectionSign.HIDDEN, start, end


def injection_signs(text: str) -> frozenset[InjectionSign]:
    """What in a passage is meant for a machine. Looks at the text as a machine may read it."""
    read = revealed(text)
    found = {sign for sign, pattern in _PATTERNS if pattern.search(read)}
    if hidden_count(text) > MOST_HIDDEN:
        found.add(InjectionSign.HIDDEN)
    return frozenset(found)
