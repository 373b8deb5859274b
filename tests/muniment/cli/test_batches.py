"""`muniment batch` and `muniment batches`: what they ask for, print, and end with."""

import json

import pytest

from muniment.cli import batches
from muniment.client import AsyncMuniment, Muniment
from muniment.errors import Conflict
from tests.muniment.cli.conftest import Command
from tests.muniment.client.api_for_tests import KEY, ApiForTests

FILES = ("0190f6e0-0000-7000-8000-000000000001", "0190f6e0-0000-7000-8000-000000000002")


@pytest.fixture(autouse=True)
def looking_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "LOOK_SECONDS", 0.01)


def test_a_batch_of_files_is_followed_to_its_end(api: ApiForTests, muniment: Command) -> None:
    result = muniment("batch", *FILES, "--priority", "1")
    assert result.returncode == 0, result.stderr
    assert "completed" in result.stdout
    assert "2 of 2 files" in result.stdout
    (batch,) = api.batches.values()
    assert batch["asked"] == {"files": list(FILES), "priority": 1}


def test_what_is_left_out_is_named_and_ends_with_1(muniment: Command) -> None:
    result = muniment("batch", "--source", "scans", "--prefix", "broken/")
    assert result.returncode == 1
    assert "1 of 2 files, 1 failed" in result.stdout
    assert "not taken in: broken/a\ufffd.txt (object-missing)" in result.stdout


def test_a_source_is_asked_for_without_waiting(api: ApiForTests, muniment: Command) -> None:
    result = muniment(
        "batch", "--source", "scans", "--collection", "law", "--no-wait", "--json"
    )  # fmt: skip
    assert result.returncode == 0
    assert json.loads(result.stdout)["state"] == "running"
    (batch,) = api.batches.values()
    assert batch["asked"] == {"source": {"name": "scans", "prefix": "", "collection": "law"}}


@pytest.mark.parametrize(
    "arguments",
    [
        ("batch",),
        ("batch", FILES[0], "--source", "scans"),
        ("batch", FILES[0], "--prefix", "a/"),
        ("batches", "--cancel"),
        ("batches", FILES[0], "--pause", "--resume"),
    ],
)
def test_contradictions_are_usage_errors(muniment: Command, arguments: tuple[str, ...]) -> None:
    assert muniment(*arguments).returncode == 2


def test_batches_are_listed_shown_and_told(api: ApiForTests, muniment: Command) -> None:
    assert muniment("batches").stdout == "no batches\n"
    muniment("batch", *FILES, "--no-wait")
    (batch_id,) = api.batches
    assert batch_id in muniment("batches").stdout
    assert f"batch {batch_id}: paused" in muniment("batches", batch_id, "--pause").stdout
    assert "running" in muniment("batches", batch_id).stdout
    assert json.loads(muniment("batches", batch_id, "--json").stdout)["state"] == "completed"
    refused = muniment("batches", batch_id, "--cancel")
    assert refused.returncode == 1
    assert "error" in refused.stderr


def test_the_client_makes_and_tells_batches(api: ApiForTests) -> None:
    with Muniment(api.url, KEY) as muniment:
        batch = muniment.batches.import_from("scans", "a/", priority=2)
        assert muniment.batches.resume(batch.id).state == "running"
        assert [each.id for each in muniment.batches.list().data] == [batch.id]
        assert not muniment.batches.get(batch.id).is_over
        assert muniment.batches.get(batch.id).is_whole
        with pytest.raises(Conflict):
            muniment.batches.cancel(batch.id)


async def test_the_asynchronous_client_does_too(api: ApiForTests) -> None:
    async with AsyncMuniment(api.url, KEY) as muniment:
        batch = await muniment.batches.create(FILES)
        assert (await muniment.batches.pause(batch.id)).state == "paused"
        assert not (await muniment.batches.get(batch.id)).is_over
        assert (await muniment.batches.get(batch.id)).is_whole
