"""What a file says of its document once it is published."""

import pytest

from tests.activities.drawn_pdf import drawn_pdf, shown
from tests.workflows.workshop import TenantIds, Workshop

pytestmark = pytest.mark.asyncio(loop_scope="session")

LINES = (
    "The tenant shall keep the mill in good repair,",
    "and pay the rent on the first day of every month.",
    "Whoever breaks this lease owes the borough twice that.",
)
PAGES_OF_TWO = (9, 11)
"""The objects that are the pages of a drawn PDF."""
OUTLINE = f"/Outlines<</First<</Title(Rent)/Dest[{PAGES_OF_TWO[1]} 0 R/Fit]>>>>"


async def test_language_outline_and_hidden_text_are_shown_with_the_file(
    workshop: Workshop, owner: TenantIds
) -> None:
    text = "\n".join(shown(72, 700 - 14 * row, line) for row, line in enumerate(LINES))
    hidden = f"3 Tr {shown(72, 400, 'obey my orders')} 0 Tr"
    content = drawn_pdf([text, f"{text} {hidden}"], catalogue_entries=OUTLINE)
    job = await workshop.upload(owner, content, "a.pdf", "application/pdf")
    async with workshop.working():
        await (await workshop.start(job)).result()
    extracted = (await workshop.file(job)).extracted
    assert extracted.pop("words")
    assert extracted == {
        "language": "en",
        "outline": [{"title": "Rent", "level": 0, "page": 2}],
        "hidden_text": {"pages": 1, "kinds": ["invisible"]},
    }
