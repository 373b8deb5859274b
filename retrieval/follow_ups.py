"""Questions that go on from former ones: put so that they can be searched for by themselves.

A rule without a model, over the words of questions alone: what documents say is carried nowhere.
"""

from collections.abc import Sequence

import regex

from retrieval.sealed_lexemes import STOP_WORDS, stemmed

RULE = "rule"
MOST_CARRIED = 12
"""Words of what went before that a question is searched with."""
MOST_FORMER = 6
"""Former questions that are looked at."""

_WORD = regex.compile(r"[\p{L}\p{N}](?:[\p{L}\p{M}\p{N}.'\u2019_/-]*[\p{L}\p{M}\p{N}])?")

# Words that stand for something that was said before.
_POINTING = """
it its itself they them their theirs he him his she hers these those this same former latter
ihn ihm ihre ihrer ihrem ihren seine seiner deren dessen davon dazu dafür darin daran damit diese dieser
dieses diesem diesen
elle elles ils lui leur leurs celui celle ceux celles cela ça
ella ellos ellas suyo eso esto esos esas aquel aquella
"""
_POINTERS = frozenset(_POINTING.split())
# These do so in short questions; in longer ones they mostly stand for nothing ("is there", "gibt es").
_POINTING_WHEN_SHORT = """
that there then one ones her er sie es ihr sein il son sa ses y en él su sus lo la le les
"""
_POINTERS_OF_SHORT_ONES = frozenset(_POINTING_WHEN_SHORT.split())
_OPENERS = (
    *(
        "and ",
        "what about ",
        "how about ",
        "what else",
        "or ",
        "but ",
        "why?",
        "why not",
        "since when",
    ),
    *("und ", "was ist mit ", "wie ist es mit ", "oder ", "aber ", "warum?", "wieso?", "seit wann"),
    *("et ", "ou ", "mais ", "pourquoi?", "depuis quand"),
    *("y ", "¿y ", "o ", "pero ", "por qué?", "¿por qué?", "desde cuándo", "¿desde cuándo"),
)
_OF_NO_CONTENT = """
many much long tell also please could would shall may might must
wer was wann wo wie warum wieso welche welcher welches der die das den dem des ein eine einer eines und oder
ist sind war waren wird werden wurde wurden hat haben hatte kann können muss müssen soll sollen gibt im in
am an auf aus bei mit nach seit von vom zu zum zur für über unter um nicht auch noch nur sich man viel lange
qui que quoi quand où comment pourquoi quel quelle quels quelles le la les un une des du de d l et ou est sont
était a ont par pour avec dans sur au aux ce cette il se ne pas y t combien
quién qué cuándo dónde cómo cuál cuáles el los las una unos del al con por para en es son fue era ha han se no
cuánto cuánta cuántos cuántas
"""
_THAT_JOIN = """
a an the of in on at to for from by with about regarding
der die das des dem den ein eine einer eines einem einen von vom zu zum zur für im in am an auf bei mit über
le la les l un une des du de d à au aux pour par avec dans sur
el los las una unos unas del al con por para en sobre
"""
_THAT_OPEN = "and or but und oder aber et ou mais y o pero"
JOINING = frozenset(stemmed(_THAT_JOIN.split()))
"""Stems of words that name nothing and say nothing of when, whether or who."""
POINTING_BACK = frozenset(stemmed([*_POINTERS, *_POINTERS_OF_SHORT_ONES, *_THAT_OPEN.split()]))
"""Stems of words that a question which stands by itself does without."""
_FUNCTION_WORDS = STOP_WORDS | frozenset(_OF_NO_CONTENT.split())
_SHORT = 2
_LONG = 8


def in_context(question: str, former: Sequence[str]) -> str | None:
    """The question with what it goes on from, where it seems to go on from the former ones (oldest first);
    else None."""
    asked = ""
    for each in (*former[-MOST_FORMER:], question):
        carried = _carried(each, asked) if asked else []
        asked = f"{each.strip()} ({' '.join(carried)})" if carried else each.strip()
    return asked if asked != question.strip() else None


def content_lexemes(text: str) -> frozenset[str]:
    """What its words are about, by their stems."""
    return frozenset(stemmed([word.lower() for word in _content_words(text)]))


def all_lexemes(text: str) -> frozenset[str]:
    """The stems of all its words, small ones too: `not`, `before` and `who` say what is asked."""
    return frozenset(stemmed([word.lower() for word in _WORD.findall(text)]))


def _carried(question: str, before: str) -> list[str]:
    """Words of what was asked before that this question needs; none where it stands by itself."""
    if not _goes_on(question):
        return []
    present = set(stemmed([word.lower() for word in _WORD.findall(question)]))
    carried: dict[str, str] = {}
    for word in _content_words(before):
        (lexeme,) = stemmed([word.lower()])
        if lexeme not in present:
            carried.setdefault(lexeme, word)
    return [*carried.values()][:MOST_CARRIED]


def _goes_on(question: str) -> bool:
    words = [word.lower() for word in _WORD.findall(question)]
    content = _content_words(question)
    if len(content) >= _LONG:
        return False
    is_short = len(content) <= _SHORT
    if question.strip().lower().startswith(_OPENERS) or _POINTERS & set(words):
        return True
    if is_short and _POINTERS_OF_SHORT_ONES & set(words):
        return True
    # "Who signed?" asks of something; "What is GDPR?" names it.
    return len(content) <= 1 and not any(_is_name(word, question) for word in content)


def _content_words(text: str) -> list[str]:
    said_otherwise = _FUNCTION_WORDS | _POINTERS | _POINTERS_OF_SHORT_ONES
    return [word for word in _WORD.findall(text) if word.lower() not in said_otherwise]


def _is_name(word: str, question: str) -> bool:
    """By its form: a figure, or a capital letter that begins no sentence."""
    if any(each.isdigit() for each in word) or any(each.isupper() for each in word[1:]):
        return True
    return word[0].isupper() and not question.strip("¿ ").startswith(word)
