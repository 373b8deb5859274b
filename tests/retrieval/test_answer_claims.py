"""What proves a claim: the words and numbers of the passage that it is cited from."""

from uuid import UUID

import pytest

from retrieval.answer_claims import CitedPassage, last_sentence, numbers_of_all
from retrieval.response import HitScores, SearchHit

TEXT = (
    "The storm of 1854 destroyed the quay. The harbour cranes were paid for by the widow Van der Meer."
    " They cost 12,500 guilders."
)


def passage(text: str = TEXT) -> CitedPassage:
    return CitedPassage(
        SearchHit(
            chunk_id=UUID(int=1),
            file_id=UUID(int=2),
            version=1,
            name="harbour.pdf",
            text=text,
            headings=(),
            highlights=(),
            score=1.0,
            pages=(1,),
            boxes=(),
            scores=HitScores(lexical=1.0, vector=None),
        )
    )


@pytest.mark.parametrize(
    ("claim", "quote", "is_given"),
    [
        ("A widow, Van der Meer, paid for the cranes.", "The harbour cranes were paid", True),
        ("The quay was destroyed by a storm in 1854", "The storm of 1854", True),
        ("The cranes cost 12.500 guilders", "They cost 12,500", True),
        ("The cranes cost 4711 guilders", "They cost 12,500", False),
        ("Bananas grow on Mars.", "", False),
        ("", "", False),
    ],
)
def test_a_claim_is_proven_by_the_sentence_that_says_it(
    claim: str, quote: str, is_given: bool
) -> None:
    cited = passage()
    support = cited.support(claim, cited.numbers)
    assert support.quote.startswith(quote)
    assert bool(support.quote) is bool(quote)
    assert support.quote in TEXT
    assert support.is_given is is_given


@pytest.mark.parametrize(
    ("text", "claim", "other"),
    [
        (
            "风暴摧毁了码头。港口的起重机由寡妇范德梅尔支付。",
            "寡妇范德梅尔支付了港口的起重机。",
            "香蕉生长在火星上。",
        ),
        (
            "嵐は埠頭を破壊した。港のクレーンは未亡人が支払った。",
            "未亡人が港のクレーンを支払った。",
            "火星にはバナナがある。",
        ),
        (
            "พายุทำลายท่าเรือ หญิงม่ายจ่ายค่าปั้นจั่นของท่าเรือ",
            "ค่าปั้นจั่นของท่าเรือจ่ายโดยหญิงม่าย",
            "กล้วยเติบโตบนดาวอังคาร",
        ),
    ],
    ids=["Chinese", "Japanese", "Thai"],
)
def test_a_claim_in_a_script_without_spaces_is_proven_by_its_pairs_of_letters(
    text: str, claim: str, other: str
) -> None:
    cited = passage(text)
    assert cited.support(claim, cited.numbers).is_given
    assert not cited.support(other, cited.numbers).is_given


def test_a_number_may_stand_in_another_passage_cited_with_it() -> None:
    first, second = passage(), passage("The cranes were repaired in 1901.")
    claim = "The cranes, paid for by the widow, were repaired in 1901"
    assert not first.support(claim, first.numbers).is_given
    assert first.support(claim, numbers_of_all([first, second])).is_given


def test_a_passage_without_words_proves_nothing() -> None:
    assert passage(" ").support("Anything", frozenset()).quote == ""


def test_the_claim_of_a_mark_is_the_sentence_before_it() -> None:
    assert last_sentence("One thing. Another thing ") == "Another thing"
    assert last_sentence("One thing. Another thing. ") == "Another thing."
    assert last_sentence("  ") == ""
