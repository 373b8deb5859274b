"""Tokens that stand for findings: the same for the same value within a tenant, and telling nothing."""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from muniment.contracts.documents import Finding, Page
from muniment.contracts.findings import Judgement
from muniment.sealing import KeyManagement

TOKEN_CHARACTERS = 10
"""50 bits in base32: of 100,000 values of a type two share a token once in 200,000 tenants."""
_SEPARATED = frozenset({"CREDIT_CARD", "IBAN_CODE", "US_SSN", "PHONE_NUMBER"})
"""Types that are the same however their digits are grouped."""
_SEPARATORS = re.compile(r"[\s().\u2010\u2011/-]")
_WHITE_SPACE = re.compile(r"\s")


@dataclass(frozen=True)
class TokenisedFinding:
    """A finding, what stands at its place, and what is to stand there instead."""

    finding: Finding
    value: str
    token: str


async def tokens_of(
    keys: KeyManagement,
    tenant_id: UUID,
    judgement: Judgement,
    findings: Sequence[Finding],
    pages: Sequence[Page],
) -> list[TokenisedFinding]:
    """Of those findings that are masked, in their order."""
    texts: Mapping[int, str] = {page.page: page.text for page in pages}
    made: dict[tuple[str, str], str] = {}
    tokenised: list[TokenisedFinding] = []
    for finding in findings:
        if not judgement.masks(finding):
            continue
        value = texts[finding.page][finding.start : finding.end]
        key = (finding.entity, _canonical(finding.entity, value))
        if key not in made:
            made[key] = await _token(keys, tenant_id, *key)
        tokenised.append(TokenisedFinding(finding, value, made[key]))
    return tokenised


async def token_of(keys: KeyManagement, tenant_id: UUID, entity: str, value: str) -> str:
    """What stands for the value where findings of the type are masked."""
    return await _token(keys, tenant_id, entity, _canonical(entity, value))


async def _token(keys: KeyManagement, tenant_id: UUID, entity: str, canonical: str) -> str:
    # Another domain than contents and passages, whose tags come of the same key.
    digest = hashlib.sha256(f"finding-token\0{entity}\0{canonical}".encode()).digest()
    tag = await keys.dedup_tag(tenant_id, digest)
    return f"[{entity}_{base64.b32encode(tag).decode()[:TOKEN_CHARACTERS]}]"


def _canonical(entity: str, value: str) -> str:
    separators = _SEPARATORS if entity in _SEPARATED else _WHITE_SPACE
    return separators.sub("", value).casefold()
