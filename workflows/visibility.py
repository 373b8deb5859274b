"""What an operator finds an ingestion by in Temporal's UI."""

from temporalio import workflow
from temporalio.common import SearchAttributeUpdate

from muniment.contracts.inspect import InspectResult
from muniment.contracts.jobs import JobProgress, JobState, StageName
from muniment.contracts.search_attributes import MEDIA_TYPE, OUTCOME, PAGE_COUNT, STAGE

STAGE_AS_IT_CHANGES = "stage-as-it-changes"
"""Patch of 2026-11: before it, the stage was told with the outcome only."""
SHORT_DOCUMENT_PAGES = 20


class Visibility:
    """Keeps the search attributes of one ingestion; it was started as one in stage `scan`.

    Every update is an event of the history and a write of Temporal's. A short document, which is
    over within seconds, tells where it is in events that are written anyway: in `scan` as it is
    started, in `read` when it was inspected, and at its end. One that lasts tells of every stage,
    and so does whatever waits for a person.
    """

    def __init__(self) -> None:
        self._is_short = True
        self._state = JobState.RUNNING

    def planned(self, plan: InspectResult) -> None:
        """The document was inspected; `read` is next."""
        self._is_short = plan.page_count <= SHORT_DOCUMENT_PAGES
        workflow.upsert_search_attributes(
            [
                MEDIA_TYPE.value_set(plan.media_type),
                PAGE_COUNT.value_set(plan.page_count),
                STAGE.value_set(StageName.READ.value),
            ]
        )

    def began(self, stage: StageName) -> None:
        if not self._is_short and workflow.patched(STAGE_AS_IT_CHANGES):
            workflow.upsert_search_attributes([STAGE.value_set(stage.value)])

    def recorded(self, progress: JobProgress) -> None:
        """The job's state was written: `waiting`, `paused`, or the end, stand as its outcome until
        it goes on."""
        if progress.state is self._state:
            return
        if not progress.state.is_terminal and not workflow.patched(STAGE_AS_IT_CHANGES):
            return
        self._state = progress.state
        updates: list[SearchAttributeUpdate[str]] = [
            OUTCOME.value_unset()
            if progress.state is JobState.RUNNING
            else OUTCOME.value_set(progress.state.value)
        ]
        if progress.stage is not None:
            updates.append(STAGE.value_set(progress.stage.value))
        workflow.upsert_search_attributes(updates)
