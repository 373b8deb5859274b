"""What polling makes of answers that are errors: one job's are not the others' end."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from muniment.cli.ingest import following
from muniment.cli.ingest.entry import Entry, Phase
from muniment.cli.ingest.following import MOST_FAILURES, JobFollower
from muniment.client import AsyncMuniment
from muniment.client.models import File
from muniment.client.retry import Retry
from muniment.errors import Unauthenticated
from tests.muniment.client.api_for_tests import KEY, ApiForTests, Fault


@pytest.fixture
async def muniment(
    api: ApiForTests, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[AsyncMuniment]:
    """No event stream, so that everything is polled for, and at once."""
    api.tenant_stream_works = False
    monkeypatch.setattr(following, "_POLL_SECONDS", 0.01)
    async with AsyncMuniment(api.url, KEY, retry=Retry(attempts=1)) as muniment:
        yield muniment


def followed(api: ApiForTests, follower: JobFollower, name: str) -> Entry:
    entry = Entry(Path(name), size_bytes=1)
    entry.begin()
    entry.received(File.model_validate(api.add_file(name, b"x")), waits=True)
    assert entry.phase is Phase.FOLLOWING
    follower.add(entry)
    return entry


def path_of(entry: Entry) -> str:
    assert entry.job is not None
    return f"/v1/jobs/{entry.job.id}"


async def until_over(follower: JobFollower, *entries: Entry) -> None:
    running = asyncio.create_task(follower.run())
    try:
        async with asyncio.timeout(60):
            while not all(entry.phase is Phase.OVER for entry in entries):
                assert not running.done(), running.exception()
                await asyncio.sleep(0.01)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_failed_poll_is_asked_again_and_stops_no_other_file(
    api: ApiForTests, muniment: AsyncMuniment
) -> None:
    follower = JobFollower(muniment, lambda _: None)
    stumbling, smooth = (followed(api, follower, name) for name in ("a.txt", "b.txt"))
    api.fail("GET", path_of(stumbling), *[Fault(500)] * (MOST_FAILURES - 1))
    await until_over(follower, stumbling, smooth)
    assert [entry.outcome().state for entry in (stumbling, smooth)] == ["ready", "ready"]


async def test_a_job_that_is_never_shown_ends_as_unknown(
    api: ApiForTests, muniment: AsyncMuniment
) -> None:
    changed: list[Entry] = []
    follower = JobFollower(muniment, changed.append)
    lost, smooth = (followed(api, follower, name) for name in ("a.txt", "b.txt"))
    api.fail("GET", path_of(lost), *[Fault(500)] * (MOST_FAILURES + 1))
    await until_over(follower, lost, smooth)
    outcome = lost.outcome()
    assert (outcome.state, outcome.ok) == ("unknown", False)
    assert outcome.error is not None
    assert "500" in outcome.error.title
    assert smooth.outcome().ok
    assert len(api.requests_of("GET", path_of(lost))) == MOST_FAILURES
    assert lost in changed


async def test_a_key_that_is_refused_ends_it_all(api: ApiForTests, muniment: AsyncMuniment) -> None:
    follower = JobFollower(muniment, lambda _: None)
    entry = followed(api, follower, "a.txt")
    api.fail("GET", path_of(entry), Fault(401))
    with pytest.raises(Unauthenticated):
        await asyncio.wait_for(follower.run(), 60)
