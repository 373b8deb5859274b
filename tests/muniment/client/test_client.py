"""The client against a real HTTP server that keeps to the contract, and sometimes does not."""

import asyncio
import io
import socket
from pathlib import Path

import pytest

from muniment import errors
from muniment.client import (
    Answer,
    ApiProblem,
    ApiUnreachable,
    AsyncMuniment,
    Citation,
    File,
    Job,
    Muniment,
    Retry,
    StreamBroken,
    Token,
)
from muniment.client.resources.answers import query, query_body, search
from muniment.contracts.jobs import JobState
from tests.muniment.client.api_for_tests import KEY, ApiForTests, Fault
from tests.muniment.client.conftest import QUICK

CONTENT = bytes(range(256)) * 2000


# ── uploads ─────────────────────────────────────────────────────────────────────────────────────


def test_an_upload_sends_the_bytes_and_fields_and_tells_how_far_it_is(
    api: ApiForTests, muniment: Muniment, tmp_path: Path
) -> None:
    path = tmp_path / "naïve “plan”.txt"
    path.write_bytes(CONTENT)
    told: list[int] = []
    file = muniment.upload(
        path, collection="law", metadata={"year": 1215}, priority=1, progress=told.append
    )
    assert api.contents[str(file.id)] == CONTENT
    assert api.forms == [
        {
            "name": path.name,
            "collection": "law",
            "metadata": '{"year": 1215}',
            "priority": "1",
            "media_type": "text/plain",
        }
    ]
    assert told == sorted(told)
    assert told[-1] == len(CONTENT)
    assert file.job is not None
    assert file.job.state == JobState.QUEUED


@pytest.mark.parametrize("source", [b"words", io.BytesIO(b"words")], ids=["bytes", "file object"])
def test_bytes_and_file_objects_are_uploaded_too(
    api: ApiForTests, muniment: Muniment, source: bytes | io.BytesIO
) -> None:
    file = muniment.upload(source, name="a.txt")
    assert api.contents[str(file.id)] == b"words"


def test_an_upload_announces_its_size(api: ApiForTests, muniment: Muniment) -> None:
    muniment.upload(CONTENT, name="a.bin")
    (headers,) = api.requests_of("POST", "/v1/files")
    assert int(headers["content-length"]) > len(CONTENT)


def test_a_verified_upload_carries_the_sha256_of_its_content(
    api: ApiForTests, muniment: Muniment
) -> None:
    muniment.upload(b"abc", name="a.txt", verify=True)
    (headers,) = api.requests_of("POST", "/v1/files")
    # SHA-256 of "abc" (FIPS 180-2, appendix B.1) in base64.
    assert headers["repr-digest"] == "sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:"


def test_a_refused_upload_is_sent_again_with_the_same_key_and_all_its_bytes(
    api: ApiForTests, muniment: Muniment
) -> None:
    api.fail("POST", "/v1/files", Fault(503), Fault(429, {"Retry-After": "0"}))
    file = muniment.upload(CONTENT, name="a.bin")
    keys = [headers["idempotency-key"] for headers in api.requests_of("POST", "/v1/files")]
    assert len(keys) == 3
    assert len(set(keys)) == 1
    assert api.contents[str(file.id)] == CONTENT


def test_a_repeated_upload_waits_for_the_first_one_that_is_still_in_flight(
    api: ApiForTests, muniment: Muniment
) -> None:
    api.fail("POST", "/v1/files", Fault(502), Fault(409))
    assert muniment.upload(b"x", name="a.txt").name == "a.txt"


def test_a_conflict_at_the_first_attempt_is_one(api: ApiForTests, muniment: Muniment) -> None:
    api.fail("POST", "/v1/files", Fault(409))
    with pytest.raises(errors.Conflict):
        muniment.upload(b"x", name="a.txt")


def test_a_missing_file_is_said_before_anything_is_sent(
    api: ApiForTests, muniment: Muniment, tmp_path: Path
) -> None:
    with pytest.raises(errors.InvalidRequest, match="No such file"):
        muniment.upload(tmp_path / "absent.pdf")
    assert api.requests == []


# ── errors and retries ──────────────────────────────────────────────────────────────────────────


def test_a_problem_is_raised_as_its_own_class_with_the_whole_document(
    muniment: Muniment,
) -> None:
    with pytest.raises(errors.NotFound) as caught:
        muniment.files.get("0190f6e0-0000-7000-8000-000000000000")
    problem = caught.value
    assert isinstance(problem, ApiProblem)
    assert (problem.status_code, problem.document.request_id) == (404, "r-1")
    assert (problem.detail, problem.remedy) == ("detail of not-found", "remedy of not-found")


def test_the_problem_type_decides_over_the_status(api: ApiForTests, muniment: Muniment) -> None:
    body = {"type": "urn:muniment:problem:digest-mismatch", "title": "t", "detail": "d"}
    api.fail("GET", "/v1/jobs", Fault(400, body=dict(body)))
    with pytest.raises(errors.DigestMismatch):
        muniment.jobs.list()


def test_an_error_that_is_no_problem_document_is_still_an_api_problem(
    api: ApiForTests, muniment: Muniment
) -> None:
    api.fail("GET", "/v1/jobs", Fault(418, {"X-Request-Id": "r-2"}))
    with pytest.raises(ApiProblem) as caught:
        muniment.jobs.list()
    assert caught.value.document.request_id == "r-2"


def test_retries_are_bounded(api: ApiForTests, muniment: Muniment) -> None:
    api.fail("GET", "/v1/jobs", *[Fault(503)] * 10)
    with pytest.raises(errors.DependencyUnavailable):
        muniment.jobs.list()
    assert len(api.requests) == QUICK.attempts


def test_a_wait_longer_than_the_client_has_is_not_waited(
    api: ApiForTests, muniment: Muniment
) -> None:
    api.fail("GET", "/v1/jobs", Fault(429, {"Retry-After": "3600"}))
    with pytest.raises(errors.TooManyRequests):
        muniment.jobs.list()
    assert len(api.requests) == 1


def test_a_cancel_that_may_have_arrived_is_not_sent_twice(
    api: ApiForTests, muniment: Muniment
) -> None:
    job = Job.model_validate(api.add_job())
    api.fail("POST", f"/v1/jobs/{job.id}/cancel", Fault(502))
    with pytest.raises(ApiProblem):
        muniment.jobs.cancel(job.id)
    assert len(api.requests) == 1


def test_a_job_that_ended_cannot_be_cancelled(api: ApiForTests, muniment: Muniment) -> None:
    job = Job.model_validate(api.add_job())
    with pytest.raises(errors.Conflict):
        muniment.jobs.cancel(job.id)


def test_a_retry_is_a_new_job_that_names_the_one_it_heals(
    api: ApiForTests, muniment: Muniment
) -> None:
    job = Job.model_validate(api.add_job(state="failed"))
    assert muniment.jobs.retry(job.id).retry_of == job.id


def test_nothing_at_the_address_is_unreachable() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with Muniment(url, KEY, retry=QUICK) as muniment, pytest.raises(ApiUnreachable):
            muniment.jobs.list()


def test_a_proxy_does_not_come_between_this_machine_and_itself(
    api: ApiForTests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with Muniment(api.url, KEY, retry=QUICK) as muniment:
        assert muniment.jobs.list().data == ()


def test_waits_grow_to_their_limit() -> None:
    retry = Retry(first_delay_seconds=1, longest_delay_seconds=4)
    for attempt, longest in ((1, 1), (2, 2), (3, 4), (4, 4), (5000, 4)):
        assert longest / 2 <= retry.delay(attempt) <= longest


# ── events ──────────────────────────────────────────────────────────────────────────────────────


def test_a_stream_that_breaks_is_resumed_without_loss_or_repetition(
    api: ApiForTests, muniment: Muniment
) -> None:
    job = Job.model_validate(api.add_job())
    path = f"/v1/jobs/{job.id}/events"
    api.cuts[path].extend([3, 1, 5])
    events = list(muniment.jobs.events(job.id))
    assert [event.id for event in events] == [
        str(number + 1) for number in range(len(api.events[str(job.id)]))
    ]
    assert events[-1].kind == "end"
    resumed = [headers.get("last-event-id") for headers in api.requests_of("GET", path)]
    assert resumed == [None, "3", "4", "9"]


def test_a_resume_past_the_end_brings_nothing(api: ApiForTests, muniment: Muniment) -> None:
    job = Job.model_validate(api.add_job())
    assert list(muniment.jobs.events(job.id, last_event_id="22")) == []


def test_a_position_that_is_no_longer_kept_starts_anew(
    api: ApiForTests, muniment: Muniment
) -> None:
    job = Job.model_validate(api.add_job())
    api.forgotten_ids.add("2")
    events = list(muniment.jobs.events(job.id, last_event_id="2"))
    assert events[0].kind == "snapshot"


def test_a_stream_survives_an_api_that_restarts(api: ApiForTests, muniment: Muniment) -> None:
    job = Job.model_validate(api.add_job())
    path = f"/v1/jobs/{job.id}/events"
    api.cuts[path].append(2)
    events = muniment.jobs.events(job.id)
    first = next(events)
    api.fail("GET", path, Fault(503), Fault(502))
    assert [first.id, *(event.id for event in events)][-1] == str(len(api.events[str(job.id)]))


def test_a_stream_that_is_refused_raises(api: ApiForTests, muniment: Muniment) -> None:
    job = Job.model_validate(api.add_job())
    api.fail("GET", f"/v1/jobs/{job.id}/events", Fault(403))
    with pytest.raises(errors.Forbidden):
        list(muniment.jobs.events(job.id))


def test_a_stream_that_only_breaks_is_given_up(api: ApiForTests) -> None:
    job = Job.model_validate(api.add_job())
    api.cuts[f"/v1/jobs/{job.id}/events"].extend([0] * 100)
    hasty = Retry(first_delay_seconds=0.001, longest_delay_seconds=0.002)
    with Muniment(api.url, KEY, retry=hasty) as muniment, pytest.raises(StreamBroken):
        list(muniment.jobs.events(job.id))


def test_following_tells_every_change_and_percent_never_falls(
    api: ApiForTests, muniment: Muniment
) -> None:
    file = muniment.upload(b"x", name="a.txt")
    assert file.job is not None
    seen = list(muniment.follow(file.job))
    assert [job.percent for job in seen] == sorted(job.percent for job in seen)
    assert seen[0].state == JobState.QUEUED
    assert seen[-1].state == JobState.COMPLETED
    assert seen[-1].percent == 100.0
    read = [job.pages.done for job in seen if job.stage == "read"]
    assert read[-1] == 2


def test_following_an_ended_job_opens_no_stream(api: ApiForTests, muniment: Muniment) -> None:
    job = Job.model_validate(api.jobs[str(api.add_job()["id"])])
    assert list(muniment.follow(job)) == [job]
    assert api.requests == []


# ── content ─────────────────────────────────────────────────────────────────────────────────────


def test_a_download_that_breaks_goes_on_where_it_stopped(
    api: ApiForTests, muniment: Muniment, tmp_path: Path
) -> None:
    file = muniment.upload(CONTENT, name="a.bin")
    path = f"/v1/files/{file.id}/content"
    api.cuts[path].extend([100_000, 7])
    target = muniment.files.content(file.id, tmp_path / "a.bin")
    assert target.read_bytes() == CONTENT
    ranges = [headers.get("range") for headers in api.requests_of("GET", path)]
    assert ranges == [None, "bytes=100000-", "bytes=100007-"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.bin"]


def test_a_download_of_content_that_changed_starts_again(
    api: ApiForTests, muniment: Muniment, tmp_path: Path
) -> None:
    file = muniment.upload(CONTENT, name="a.bin")
    path = f"/v1/files/{file.id}/content"
    api.cuts[path].append(1000)
    api.contents_after_cut[str(file.id)] = b"other bytes"
    target = muniment.files.content(file.id, tmp_path / "a.bin")
    assert target.read_bytes() == b"other bytes"


def test_a_download_that_fails_leaves_nothing_behind(
    api: ApiForTests, muniment: Muniment, tmp_path: Path
) -> None:
    api.fail("GET", "/v1/files/x/content", Fault(404))
    with pytest.raises(errors.NotFound):
        muniment.files.content("x", tmp_path / "a.bin")
    assert list(tmp_path.iterdir()) == []


def test_deleting_gives_the_file_and_erasing_the_job(
    muniment: Muniment,
) -> None:
    file = muniment.upload(b"x", name="a.txt")
    trashed = muniment.files.delete(file.id)
    assert isinstance(trashed, File)
    assert trashed.state == "trashed"
    job = muniment.files.delete(file.id, permanent=True)
    assert isinstance(job, Job)
    assert job.kind == "erase_file"


# ── search and answers ──────────────────────────────────────────────────────────────────────────


def test_a_search_finds_passages_with_pages(muniment: Muniment) -> None:
    result = muniment.search("answer", mode="lexical", top_k=3)
    assert result.mode_used == "lexical"
    assert result.data[0].pages == (3,)


def test_an_answer_names_its_sources(muniment: Muniment) -> None:
    answer = muniment.query("what?")
    source = answer.source_of(answer.citations[0])
    assert source is not None
    assert source.name == "guide.pdf"


def test_who_wants_no_answer_of_before_says_so() -> None:
    """And else nothing: an API of a former release refuses what it does not know."""
    for is_told_again, said in ((True, None), (False, False)):
        for call in (search("what?", cache=is_told_again), query("what?", cache=is_told_again)):
            assert isinstance(call.json, dict)
            assert call.json.get("cache") is said
        assert query_body("what?", 8, "auto", cache=is_told_again).get("cache") is said


def test_an_answer_comes_word_by_word_and_whole_at_last(muniment: Muniment) -> None:
    parts = list(muniment.query_stream("what?"))
    assert [type(part) for part in parts] == [Token, Token, Citation, Answer]
    assert parts[0] == Token("Forty-")


def test_an_answer_that_is_cut_off_is_an_error(muniment: Muniment) -> None:
    with pytest.raises(StreamBroken):
        list(muniment.query_stream("what is cut?"))


# ── both clients ────────────────────────────────────────────────────────────────────────────────


def test_the_asynchronous_client_does_the_same(api: ApiForTests, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with AsyncMuniment(api.url, KEY, retry=QUICK) as muniment:
            api.fail("POST", "/v1/files", Fault(503))
            file = await muniment.upload(CONTENT, name="a.bin")
            assert file.job is not None
            api.cuts[f"/v1/jobs/{file.job.id}/events"].extend([3])
            seen = [job async for job in muniment.follow(file.job)]
            assert seen[-1].state == JobState.COMPLETED
            api.cuts[f"/v1/files/{file.id}/content"].append(5)
            target = await muniment.files.content(file.id, tmp_path / "a.bin")
            assert target.read_bytes() == CONTENT
            parts = [part async for part in muniment.query_stream("what?")]
            assert isinstance(parts[-1], Answer)
            with pytest.raises(errors.NotFound):
                await muniment.jobs.get("0190f6e0-0000-7000-8000-000000000000")

    asyncio.run(scenario())


def test_pictures_are_asked_for_as_they_are_wanted(api: ApiForTests, muniment: Muniment) -> None:
    file_id = str(api.add_file("a.pdf", b"x")["id"])
    drawn = muniment.files.page_image(file_id, 3, dpi=72, image_format="png", version=2)
    assert drawn.decode() == f"/v1/files/{file_id}/pages/3/image dpi=72&format=png&version=2"
    small = muniment.files.thumbnail(file_id)
    assert small.decode() == f"/v1/files/{file_id}/thumbnail format=webp"


def test_both_clients_have_the_same_methods() -> None:
    """Blocking and awaited; `test_operations.py` calls each."""

    def methods(client: object) -> set[str]:
        parts = {name: part for name, part in vars(client).items() if not name.startswith("_")}
        found = {name for name in dir(client) if not name.startswith("_")}
        for name, part in parts.items():
            found |= {f"{name}.{each}" for each in dir(part) if not each.startswith("_")}
        return found

    with Muniment("http://api", KEY) as muniment:
        assert methods(muniment) == methods(AsyncMuniment("http://api", KEY))


PENDING = Fault(
    409, body={"type": "urn:muniment:problem:scan-pending", "title": "pending", "status": 409}
)


def test_a_download_waits_for_the_virus_scan(
    api: ApiForTests, muniment: Muniment, tmp_path: Path
) -> None:
    file = muniment.upload(io.BytesIO(CONTENT), name="a.bin")
    path = f"/v1/files/{file.id}/content"
    # More often than an answer that failed is asked for again.
    api.fail("GET", path, *[PENDING] * 10)
    assert muniment.files.content(file.id, tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_download_does_not_wait_for_the_virus_scan_for_ever(
    api: ApiForTests, tmp_path: Path
) -> None:
    impatient = Retry(longest_delay_seconds=0.01, scans_within_seconds=0.05)
    with Muniment(api.url, KEY, retry=impatient) as muniment:
        file = muniment.upload(io.BytesIO(CONTENT), name="a.bin")
        path = f"/v1/files/{file.id}/content"
        api.fail("GET", path, *[PENDING] * 10)
        with pytest.raises(errors.ScanPending):
            muniment.files.content(file.id, tmp_path / "a.bin")
    assert len(api.requests_of("GET", path)) == 6
