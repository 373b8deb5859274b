"""Settings of what becomes of findings."""

from typing import Annotated

from pydantic import Field

from muniment.contracts.findings import MOST_RECOGNISERS, CustomRecogniser
from muniment.settings.group import Group


class FindingSettings(Group):
    """Personal data and secrets in documents (docs/findings.md)."""

    review_days: Annotated[
        int,
        Field(
            description="How long a document waits for a person whom a policy asks to look at what was"
            " found in it; then it is rejected.",
            ge=1,
            le=365,
        ),
    ] = 30
    masking: Annotated[
        bool,
        Field(
            description="Whether policies may `mask`. Off until every way round it is shut"
            " (docs/findings.md#masking); `refuse` and `review` keep documents back whole.",
        ),
    ] = False
    recognisers: Annotated[
        tuple[CustomRecogniser, ...],
        Field(
            description="What is looked for besides, as JSON: a list of `name`, `entity`, `expression`"
            " (RE2), `confidence`, `context` (words of which one stands before it) and `kind`.",
            max_length=MOST_RECOGNISERS,
        ),
    ] = ()
