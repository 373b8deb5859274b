"""Settings of what waits for people."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from muniment.settings.group import Group


class TaskSettings(Group):
    """When what waits for people is due, and how often it is reminded of (docs/tasks.md)."""

    quarantine_days: Annotated[
        int,
        Field(description="How soon a file in quarantine is to be decided about.", ge=1, le=3650),
    ] = 3
    finding_review_days: Annotated[
        int,
        Field(
            description="How soon a file that is held for its findings is to be decided about.",
            ge=1,
            le=3650,
        ),
    ] = 3
    held_erasure_days: Annotated[
        int,
        Field(description="How soon an erasure is to be carried out that is held.", ge=1, le=3650),
    ] = 30
    hold_review_every_days: Annotated[
        int,
        Field(
            description="How often somebody is to say that a matter is still needed.", ge=1, le=3650
        ),
    ] = 90
    hold_review_days: Annotated[
        int, Field(description="How soon that is to be said.", ge=1, le=3650)
    ] = 14
    hold_acknowledgement_days: Annotated[
        int,
        Field(description="How soon a custodian is to acknowledge a matter.", ge=1, le=3650),
    ] = 14
    disposition_days: Annotated[
        int,
        Field(
            description="How soon two people are to have said whether a file is deleted, or somebody"
            " whether a retention sweep goes on.",
            ge=1,
            le=3650,
        ),
    ] = 14
    subject_request_days: Annotated[
        int,
        Field(description="How soon what was found of a person is to be confirmed.", ge=1, le=3650),
    ] = 14
    reminder_days: Annotated[
        int,
        Field(description="How often what is overdue is reminded of.", ge=1, le=365),
    ] = 1
    look_minutes: Annotated[
        int,
        Field(
            description="How often each tenant's tasks are looked through for what is overdue; 0: never.",
            ge=0,
            le=10_080,
        ),
    ] = 60

    @property
    def due_days(self) -> Mapping[str, int]:
        """By the parameters of `db.queries.task_kinds`."""
        return self.model_dump(exclude={"reminder_days", "look_minutes"})
