"""Questions by their form, and the weights that follow."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muniment.embedding import Embedder
from retrieval.query_language import parse_query
from retrieval.query_types import ALPHAS, QueryType, query_type, weigh
from retrieval.request import MAX_QUERY_CHARACTERS, Fusion, FusionMethod, SearchMode


@pytest.mark.parametrize(
    "query",
    ['"in witness whereof"', "„kraft Gesetzes“", "«sans délai» bail", "「契約期間」", '"a" "b" c'],
)
def test_quotes(query: str) -> None:
    assert query_type(query) is QueryType.QUOTE


@pytest.mark.parametrize(
    "query",
    [
        "INV-2023/004",
        "EN1090",
        "10.1.2",
        "invoice 2023/004",
        "BRCA1",
        "(ISO9001)",
        "§12 A-7",
        "x86",
    ],
)
def test_codes(query: str) -> None:
    assert query_type(query) is QueryType.CODE


@pytest.mark.parametrize(
    "query",
    ["Ada Lovelace", "Ludwig van Beethoven", "Jean-Luc O'Brien", "Анна Ахматова", "J. R. Ewing"],
)
def test_names(query: str) -> None:
    assert query_type(query) is QueryType.NAME


@pytest.mark.parametrize(
    "query",
    [
        "who keeps the keys of the harbour?",
        "notice period",
        "Harbour",
        "2023",
        "what does invoice INV-2023/004 come to",
        "IBM SEC",
        'what did he mean by "soon"',
        "",
        "?!",
        "预算",
        "有多少胡格诺派信徒在18世纪逃离法国?",
        "besides «A la nobleza cristiana de la nación», which works did he write",
    ],
)
def test_all_else_is_a_question(query: str) -> None:
    assert query_type(query) is QueryType.QUESTION


@pytest.mark.parametrize(
    ("query", "type_"),
    [
        ('"in witness whereof" -draft name:2024 heading:scope', QueryType.QUOTE),
        ('„kraft Gesetzes" bail', QueryType.QUOTE),
        ("INV-2023* -draft", QueryType.CODE),
        ("Ada Lovelace -Byron heading:letters", QueryType.NAME),
        ("leases name:A4", QueryType.QUESTION),
        ("heading:EN1090", QueryType.QUESTION),
        ("leases -EN1090", QueryType.QUESTION),
        ('leases -"in witness whereof"', QueryType.QUESTION),
        ("-draft", QueryType.QUESTION),
    ],
)
def test_operators_have_no_type_of_their_own(query: str, type_: QueryType) -> None:
    assert query_type(parse_query(query).form) is type_


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200), st.floats(0, 1))
def test_any_text_has_a_type_and_a_weight(query: str, known: float) -> None:
    weighing = weigh(query, Fusion(), SearchMode.HYBRID, known)
    assert weighing.query_type is query_type(query)
    assert 0.0 <= weighing.alpha <= ALPHAS[query_type(query)]


@pytest.mark.parametrize("sign", ["«", "„", "「", '"', "1.", "A-", "O'", "a1", "(", "van "])
def test_a_long_text_of_signs_takes_no_time(sign: str) -> None:
    began = time.process_time()
    query_type(sign * (MAX_QUERY_CHARACTERS // len(sign)))
    assert time.process_time() - began < 0.1


def test_the_request_has_the_last_word() -> None:
    asked = Fusion(method=FusionMethod.RRF, alpha=0.9)
    weighing = weigh('"in witness whereof"', asked, SearchMode.HYBRID, known=0.0)
    assert (weighing.method, weighing.alpha, weighing.query_type) == (FusionMethod.RRF, 0.9, None)


def test_meaning_counts_as_far_as_the_model_knows_the_words(embedder: Embedder) -> None:
    def alpha(query: str) -> float:
        return weigh(query, Fusion(), SearchMode.HYBRID, embedder.known_share(query)).alpha

    full = ALPHAS[QueryType.QUESTION]
    assert alpha("Who gave the original viking settlers a common identity?") == full
    assert alpha("谁的到来给了原维京定居者一个共同的身份？") < full / 2
    assert alpha("Кто по прибытии придал поселенцам общую идентичность?") == 0.0
    german = "In welchem Land lebte der Autor der Oper?"
    assert 0.0 < alpha(german) < full
    assert embedder.known_share("") == 1.0


def test_signs_are_no_words(embedder: Embedder) -> None:
    known = embedder.known_share("Wer bewahrt die Schlüssel")
    assert 0.0 < known < 1.0
    assert embedder.known_share("¿« Wer — bewahrt, die „Schlüssel“ … »?!") == known
    assert embedder.known_share("¿? … —") == 1.0


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=200))
def test_of_any_text_a_share_is_known(embedder: Embedder, text: str) -> None:
    assert 0.0 <= embedder.known_share(text) <= 1.0
