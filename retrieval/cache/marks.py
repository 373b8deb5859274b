"""What tells two questions apart that mean nearly the same: numbers, names, quoted words, negations.

Vectors hardly show it: "who may" and "who may not", or the same question of another year, lie as near to each
other as two wordings of one question do. So an answer is told again to another question only where all of
these are equal.
"""

import re
from dataclasses import dataclass

_WORD = re.compile(r"[^\W_]+(?:[-.,:/'’][^\W_]+)*|[%€$£¥+<>=]")
_QUOTED = re.compile(r"[\"“„«»”]([^\"“”„«»]+)[\"“”«»]|(?<!\w)['‘]([^'‘’]+)['’](?!\w)")
_SENTENCE_END = re.compile(r"[.!?:]\s+$|^\s*[\"“„«‘'(¿¡]*$")

_SIGNS = frozenset("%€$£¥+<>=")
_BEGINNINGS = """
    a an and are by can could describe did do does explain find for from give had has have i if in is list
    may me might must name of on please say shall should show so state tell the there to under was we were
    will with would you your my our its their this these that those it they
    das der die ein eine im in ist sind wird war el la los las un una le les une est sont il lo
"""
"""Words with which a sentence may begin: a capital there makes no name of them."""

_NEGATIONS = """
    not no never none neither nor without except unless cannot excluding exclude excluded outside unlike
    nicht kein keine keinen keinem keiner keines nie niemals ohne außer ni nunca sin ningún ninguna salvo
    ne pas jamais sans aucun aucune sauf non mai senza nessun nessuna tranne não sem nenhum nenhuma
"""
_ASKING = """
    who whom whose what when where why which how many much long often far old
    wer wen wem wessen was wann wo warum welche welcher welches wie viele viel
    qui que quoi quand où pourquoi quel quelle quels quelles comment combien
    quién quiénes qué cuándo dónde cuál cuáles cómo cuánto cuántos cuánta cuántas
"""
_COUNTING = """
    one two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty hundred thousand
    million billion half third quarter double twice once first second last next previous former latter
    earliest latest final initial current new old other another both all any each every only
    average total sum median percentage percent ratio respective gross net
"""
_OPPOSITES = """
    before after begin begins began start starts started end ends ended more less most least fewer greater
    higher lower highest lowest largest smallest longer shorter above below over under maximum minimum max min
    up down increase increased increases increasing decrease decreased decreases reduce reduced reduces rise
    rose fall fell activate activated inhibit inhibited front rear left right gain loss profit buy sell bought
    sold win won lose lost inside outside between since until adult adults child children men women male
    female tenant landlord buyer seller employer employee lender borrower allowed forbidden
    permitted prohibited required optional
"""

_OPENERS = frozenset(_BEGINNINGS.split())
_TELLING = frozenset(f"{_NEGATIONS} {_ASKING} {_COUNTING} {_OPPOSITES}".split())
"""Words that another is seldom another wording of. One that is missing here lets more through, one that is
too many less."""


@dataclass(frozen=True)
class Marks:
    """Of one question, casefolded. Names (and what has a hyphen), numbers and quotes in their order: from
    London to Paris is not from Paris to London. `words` are sorted: a sentence has many orders."""

    names: tuple[str, ...]
    numbers: tuple[str, ...]
    quoted: tuple[str, ...]
    words: tuple[str, ...]


def marks_of(question: str) -> Marks | None:
    """None where names cannot be told from other words, since nothing is written with a capital: such a
    question is alike to none."""
    if question == question.lower():
        return None
    names: list[str] = []
    numbers: list[str] = []
    words: list[str] = []
    for found in _WORD.finditer(question):
        word = found[0].replace("’", "'")
        folded = word.casefold()
        if any(each.isdigit() for each in word) or word in _SIGNS:
            numbers.append(folded)
        elif folded in _TELLING or folded.endswith("n't"):
            words.append("not" if folded.endswith("n't") else folded)
        elif "-" in word or _has_capital(question, found.start(), word):
            names.append(folded)
    quoted = [next(filter(None, each.groups())).casefold() for each in _QUOTED.finditer(question)]
    return Marks(tuple(names), tuple(numbers), tuple(quoted), tuple(sorted(words)))


def _has_capital(question: str, start: int, word: str) -> bool:
    """Beyond that of a sentence. A word that is not known to begin one is taken for a name."""
    begins = word.casefold() in _OPENERS and _SENTENCE_END.search(question[:start]) is not None
    return word != word.lower() and not begins
