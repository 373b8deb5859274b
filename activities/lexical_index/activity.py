"""Temporal's face of the maintenance of the index of words."""

import asyncio
import time
from functools import partial

from temporalio import activity

from activities.failures import application_error
from activities.heartbeats import heartbeats
from activities.lexical_index.turn import YIELD_SECONDS, in_turn
from db.queries import postings
from db.session import Access, Database
from muniment.contracts.merge_postings import (
    LexicalIndexActivities,
    MergePostingsInput,
    MergePostingsResult,
)
from muniment.errors import MunimentError

PURGE_SECONDS = 1800.0
"""Of a round, which may take two hours."""
MAX_UNMERGED_PAGES = 800
"""Of a round: some minutes. A language has sixty-four or so when the round begins."""


class LexicalIndex(LexicalIndexActivities):
    def __init__(self, database: Database) -> None:
        self._database = database

    @activity.defn(name="merge_postings")
    async def merge_postings(self, request: MergePostingsInput) -> MergePostingsResult:
        access = Access(request.tenant_id)
        try:
            async with heartbeats():
                removals = await self._purge(access)
                before, after = await self._merge(access)
        except MunimentError as error:
            raise application_error(error, activity.info().attempt) from error
        return MergePostingsResult(removals=removals, rows_before=before, rows_after=after)

    async def _purge(self, access: Access) -> int:
        """How many removals are done with. Ends in time, so that what is published is merged as well; the
        rest is for the next round."""
        removals, end = 0, time.monotonic() + PURGE_SECONDS
        while time.monotonic() < end:
            done = await in_turn(self._database, access, postings.purge_removals)
            if done is None:
                break
            removals += done
            await asyncio.sleep(YIELD_SECONDS)
        return removals

    async def _merge(self, access: Access) -> tuple[int, int]:
        """Rows before and after, of those that were merged; none unless there is enough to merge."""
        async with self._database.transaction(access) as session:
            unmerged = await postings.unmerged(session)
        if unmerged.parts < postings.LEAST_ROWS_TO_MERGE:
            return 0, 0
        before, after = await self._merge_unmerged(access)
        last: postings.PostingKey | None = None
        while True:
            page = await in_turn(self._database, access, partial(postings.merge_page, after=last))
            before, after = before + page.rows_before, after + page.rows_after
            last = page.last
            if last is None:
                break
            await asyncio.sleep(YIELD_SECONDS)
        async with self._database.transaction(access) as session:
            await postings.mark_merged(session, unmerged)
        return before, after

    async def _merge_unmerged(self, access: Access) -> tuple[int, int]:
        """Lists of entries that publications waited with, and the rows of terms that came of them. Ends in
        time, however fast others publish."""
        before = after = 0
        for _ in range(MAX_UNMERGED_PAGES):
            merged = await in_turn(self._database, access, postings.merge_unmerged)
            if merged is None:
                break
            before, after = before + merged[0], after + merged[1]
            await asyncio.sleep(YIELD_SECONDS)
        return before, after
