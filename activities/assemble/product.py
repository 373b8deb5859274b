"""The artifact of stage `assemble`, which stage `read` may have made along the way."""

import re
from collections.abc import Sequence

from activities.assemble.calls import AssembledDocument, TextFacts
from activities.engines import ENGINE_VERSIONS
from activities.fingerprints import fingerprint
from activities.stage import Product
from muniment.contracts.base import Artifact, Contract
from muniment.contracts.jobs import StageName

_ITEM = re.compile(rb'"self_ref":"#/(?:texts|tables|pictures|key_value_items|form_items)/\d+"')
"""Within a text the quotation marks would be escaped."""


class AssembleSummary(Contract):
    item_count: int
    facts: TextFacts = TextFacts()


def assembled_fingerprint(plan: Artifact, batches: Sequence[str]) -> str:
    """Of the document that is put together by this plan out of the batches with these fingerprints,
    in the order of their pages."""
    return fingerprint(
        StageName.ASSEMBLE, ENGINE_VERSIONS["assemble"], [plan.fingerprint, *batches]
    )


def assembled_product(assembled: AssembledDocument) -> Product[AssembleSummary]:
    content = assembled.document.encode()
    summary = AssembleSummary(item_count=_item_count(content), facts=assembled.facts)
    return Product(content, summary)


def _item_count(document: bytes) -> int:
    """How many items the DoclingDocument holds: each names itself once. Read as JSON, a document of
    thousands of pages would take ten times its size."""
    return sum(1 for _ in _ITEM.finditer(document))
