"""The language of a document, told from its text."""

import pytest

from activities.assemble.calls import AssembleRequest
from activities.assemble.engine import assemble
from activities.assemble.language import language_of
from activities.inspect import file_type
from activities.sandbox.registry import EngineContext
from muniment.contracts.documents import (
    DocumentFamily,
    DocumentPlan,
    HiddenKind,
    HiddenText,
    Page,
    PageBatch,
    PageSource,
)
from tests.activities.made_documents import in_memory, unheard

ENGLISH = (
    "The tenant shall keep the mill in good repair and pay the rent on the first day of every month."
    " Whoever breaks this lease owes the borough twice what he would have paid."
)
TEXTS = {
    "en": ENGLISH,
    "de": "Der Pächter hält die Mühle in gutem Zustand und zahlt die Pacht am ersten Tag jedes Monats."
    " Wer diesen Vertrag bricht, schuldet der Stadt das Doppelte dessen, was er gezahlt hätte.",
    "fr": "Le locataire entretient le moulin et paie le loyer le premier jour de chaque mois."
    " Celui qui rompt ce bail doit à la ville le double de ce qu'il aurait payé.",
    "cs": "Nájemce udržuje mlýn v dobrém stavu a platí nájemné první den každého měsíce."
    " Kdo tuto smlouvu poruší, dluží městu dvojnásobek toho, co by byl zaplatil.",
    "ru": "Арендатор содержит мельницу в исправности и платит аренду в первый день каждого месяца."
    " Кто нарушит этот договор, должен городу вдвое больше того, что он заплатил бы.",
    "hi": "किरायेदार चक्की को अच्छी दशा में रखेगा और हर महीने के पहले दिन किराया देगा।"
    " जो कोई इस पट्टे को तोड़ेगा वह नगर को दुगुना देगा।",
    "zh": "承租人应当妥善维护磨坊，并于每月第一日支付租金。违反本契约者应向市镇支付双倍的款项。",
    "ja": "借主は水車小屋を良好な状態に保ち、毎月一日に賃料を支払うものとする。"
    "この契約に背く者は町に倍額を払う。",
    "ar": "يحافظ المستأجر على الطاحونة في حالة جيدة ويدفع الإيجار في أول يوم من كل شهر،"
    " ومن يخالف هذا العقد يدفع للمدينة ضعف ما كان عليه أن يدفعه.",
}


def page(text: str, number: int = 1, *hidden: HiddenKind) -> Page:
    return Page(
        page=number,
        width=595,
        height=842,
        source=PageSource.TEXT,
        engine="a",
        text=text,
        hidden=tuple(HiddenText(kind=kind, text="x") for kind in hidden),
    )


def told(*texts: str, media_type: str = file_type.TEXT.media_type) -> str | None:
    return language_of([page(text, number) for number, text in enumerate(texts, 1)], media_type)


@pytest.mark.parametrize("tag", TEXTS)
def test_languages_are_told(tag: str) -> None:
    assert told(TEXTS[tag]) == tag
    assert told(*[TEXTS[tag]] * 200) == tag
    assert told(TEXTS[tag] * 400) == tag


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Rent 1871",
        "The mill.",
        "12,50 1871-05-03 4711 0815 " * 200,
        "a@example.org https://example.org/a/lease x_y=3 " * 100,
        "■□▲△ —— … !!! " * 100,
    ],
)
def test_of_short_texts_and_of_numbers_nothing_is_told(text: str) -> None:
    assert told(text) is None


def test_a_document_of_two_languages_is_of_neither() -> None:
    assert told(*[TEXTS["de"]] * 20, *[TEXTS["fr"]] * 20) is None
    assert told(TEXTS["de"] * 20 + TEXTS["en"] * 20) is None


def test_a_quotation_does_not_change_the_language() -> None:
    assert told(*[TEXTS["de"]] * 10, TEXTS["fr"], *[TEXTS["de"]] * 10) == "de"


def test_source_code_and_data_are_of_no_language() -> None:
    python = file_type.SOURCE_CODE["python"].media_type
    assert told(ENGLISH, media_type=python) is None
    assert told(ENGLISH, media_type=file_type.JSON.media_type) is None


def test_the_same_text_gives_the_same_answer_every_time() -> None:
    unsure = "mill lease rent Pacht Miete loyer bail moulin Mühle tenant " * 5
    assert len({told(unsure) for _ in range(50)}) == 1


def facts(pages: list[Page], language: str | None) -> object:
    plan = DocumentPlan(
        media_type="application/pdf",
        family=DocumentFamily.PDF,
        page_count=len(pages),
        pages=(),
        language=language,
    )
    content = PageBatch(pages=tuple(pages)).model_dump_json().encode()
    context = EngineContext(in_memory(content), unheard)
    return assemble(AssembleRequest(plan=plan, name="a"), context).facts.model_dump()


def test_what_all_pages_say_comes_with_the_document() -> None:
    pages = [
        page(ENGLISH, 1, HiddenKind.TINY, HiddenKind.INVISIBLE),
        page(ENGLISH, 2),
        page(ENGLISH, 3, HiddenKind.TINY),
    ]
    kinds = (HiddenKind.INVISIBLE, HiddenKind.TINY)
    assert facts(pages, None) == {
        "language": "en",
        "hidden_page_count": 2,
        "hidden_kinds": kinds,
    }


def test_a_declared_language_is_not_questioned() -> None:
    assert facts([page(ENGLISH)], "de") == {
        "language": None,
        "hidden_page_count": 0,
        "hidden_kinds": (),
    }
