"""Tokens: the same for the same value within a tenant, however it is written."""

from pathlib import Path
from uuid import UUID, uuid4

import pytest

from activities.classify.calls import PageText
from activities.classify.engine import classify_pages
from activities.classify.tokens import tokens_of
from muniment.contracts.documents import Page, PageSource
from muniment.contracts.findings import FindingAct, FindingRule, Judgement
from muniment.sealing import KeyFile

MASK_ALL = Judgement(
    act=FindingAct.MASK, rules=(FindingRule(policy_id=uuid4(), act=FindingAct.MASK),)
)


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "tenants.json")


async def tokens(keys: KeyFile, tenant_id: UUID, text: str) -> list[str]:
    found = classify_pages([PageText(page=1, text=text)]).findings
    page = Page(page=1, width=0, height=0, source=PageSource.TEXT, engine="e", text=text)
    return [each.token for each in await tokens_of(keys, tenant_id, MASK_ALL, found, [page])]


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("card 4111 1111 1111 1111", "card 4111111111111111", True),
        ("iban DE89 3704 0044 0532 0130 00", "iban de89370400440532013000", True),
        ("to ana@example.org", "to ANA@example.org", True),
        ("to ana@example.org", "to anna@example.org", False),
        ("phone +49 30 901820", "phone +49 (30) 90-18-20", True),
    ],
)
async def test_the_same_value_has_the_same_token(
    keys: KeyFile, one: str, other: str, is_same: bool
) -> None:
    tenant_id = uuid4()
    ((first,), (second,)) = [await tokens(keys, tenant_id, text) for text in (one, other)]
    assert (first == second) is is_same


async def test_tokens_of_two_tenants_say_nothing_of_each_other(keys: KeyFile) -> None:
    (one,), (other,) = [await tokens(keys, uuid4(), "to ana@example.org") for _ in range(2)]
    assert one != other
    assert one.startswith("[EMAIL_ADDRESS_")
