"""Settings of the embedded stack."""

from typing import Annotated

from pydantic import Field, field_validator

from muniment.settings.group import Group

_FEWEST_SECONDS = 5
_FEWEST_SILENT_SECONDS = 30
"""Two questions: one that came too late is no hanging."""


class EmbeddedSettings(Group):
    """What `muniment up` starts."""

    api_processes: Annotated[
        int | None,
        Field(
            description="API processes, which share the API's port and, unless"
            " `MUNIMENT_RATE_LIMITS__API_PROCESSES` is set, the rate limits; unset: 2, or 1 on one core and"
            " where the system does not spread connections over them (Linux does). Each may open"
            " `MUNIMENT_DATABASE__POOL_SIZE` connections and one more: `muniment up` refuses more than its"
            " PostgreSQL takes (200).",
            ge=1,
            le=16,
        ),
    ] = None
    background_niceness: Annotated[
        int,
        Field(
            description="By how much Temporal and the workers stand back behind the API and PostgreSQL where"
            " the cores are all taken (Linux shares them among sessions first): 10 gives each a tenth of what"
            " the API gets, and all that it leaves; 0: none stands back",
            ge=0,
            le=19,
        ),
    ] = 10
    hung_seconds: Annotated[
        int,
        Field(
            description="An API process or a worker whose event loop has not run for so long, because it is"
            " blocked or the process was stopped, is ended and started anew. 0: never, as for a long stop in"
            " a debugger; else 5 at least: the pulse comes once a second, and late on a busy machine.",
            ge=0,
            le=86_400,
        ),
    ] = 30

    silent_seconds: Annotated[
        int,
        Field(
            description="PostgreSQL, Temporal or clamd of the stack is ended and started anew when it has"
            " answered nothing for so long: it is asked every five seconds, and has ten to answer. PostgreSQL"
            " recovers from its log then, and loses nothing. 0: never; else 30 at least.",
            ge=0,
            le=86_400,
        ),
    ] = 60

    @field_validator("hung_seconds")
    @classmethod
    def _bears_a_late_pulse(cls, seconds: int) -> int:
        return _none_or_at_least(_FEWEST_SECONDS, seconds)

    @field_validator("silent_seconds")
    @classmethod
    def _bears_a_late_answer(cls, seconds: int) -> int:
        return _none_or_at_least(_FEWEST_SILENT_SECONDS, seconds)


def _none_or_at_least(fewest: int, seconds: int) -> int:
    if 0 < seconds < fewest:
        raise ValueError(f"must be 0, or {fewest} at least")
    return seconds
