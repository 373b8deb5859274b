"""Settings of what an API process works on at a time."""

from typing import Annotated

from pydantic import Field

from muniment.settings.group import Group


class AdmissionSettings(Group):
    """How many requests an API process works on, and how many wait for it."""

    at_once: Annotated[
        int,
        Field(
            description="Requests one API process works on at a time, each for a quarter of a second at"
            " most; short reads come before uploads. More, where PostgreSQL or the object store are"
            " milliseconds away.",
            ge=1,
        ),
    ] = 3
    waiting_most: Annotated[
        int,
        Field(description="Requests that wait for one API process; more get 429.", ge=1),
    ] = 2000
