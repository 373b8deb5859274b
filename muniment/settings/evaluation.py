"""Settings of the evaluation of searches and answers."""

from typing import Annotated

from pydantic import Field

from muniment.settings.group import Group


class EvaluationSettings(Group):
    """How good searches and answers are, by sets of questions (docs/evaluation.md)."""

    interval_hours: Annotated[
        float,
        Field(
            description="How often each tenant's nightly sets are evaluated; 0: never by itself.",
            ge=0,
            le=24 * 31,
        ),
    ] = 24.0
    keep_days: Annotated[
        float,
        Field(description="How long what an evaluation measured is kept.", ge=1, le=3650),
    ] = 365.0
