"""What comparisons of readings came to, over HTTP."""

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest

from muniment.client import AsyncMuniment
from muniment.errors import NotFound
from tests.api.conftest import ApiProcess, audit_actions, client_of
from tests.conftest import TenantFixture, make_tenant

TESSERACT = "ocr_engine=tesseract"


@dataclass(frozen=True)
class Published:
    """A file as an ingestion leaves it, made without one: no worker runs in these tests."""

    file_id: str
    job_id: str


async def published(
    client: httpx.AsyncClient, dsn: str, name: str, state: str = "completed"
) -> Published:
    file = (await client.post(f"/v1/files?name={name}", content=name.encode())).json()
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "UPDATE job SET state = %s, finished_at = now(), started_at = now(),"
            " stages = jsonb_build_array(jsonb_build_object('name', 'publish', 'state',"
            " 'completed', 'finished_at', now())) WHERE id = %s",
            (state, file["job"]["id"]),
        )
        connection.execute(
            "UPDATE file SET state = 'ready', current_version = 1 WHERE id = %s", (file["id"],)
        )
        connection.execute(
            "UPDATE file_version SET published_at = now(), page_count = 3 WHERE file_id = %s",
            (file["id"],),
        )
    return Published(file["id"], file["job"]["id"])


def figures(dsn: str, job_id: str, similarities: list[float], *, slower: float = 2.0) -> None:
    """Writes what a completed comparison leaves."""
    shared = {"present": 4, "candidate": 5, "shared": 3}
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "UPDATE job SET state = 'completed', finished_at = now() WHERE id = %s", (job_id,)
        )
        connection.execute(
            "UPDATE reading_comparison SET compared_at = now(), pages = %s, present_failed = 0,"
            " candidate_failed = 1, present_readers = '{a}', candidate_readers = '{b}',"
            " present_seconds = 1.5, candidate_seconds = %s, structure = %s WHERE job_id = %s",
            (
                len(similarities),
                1.5 * slower,
                json.dumps({"headings": shared, "tables": shared, "cells": shared}),
                job_id,
            ),
        )
        for page, similarity in enumerate(similarities, 1):
            connection.execute(
                "INSERT INTO compared_page SELECT version_id, candidate, %s, tenant_id, %s, 100,"
                " %s, 10, 12, 0.9, 0.8 FROM reading_comparison WHERE job_id = %s",
                (page, similarity, 100 + page, job_id),
            )


async def compare(client: httpx.AsyncClient, file_id: str) -> dict[str, object]:
    answer = await client.post(f"/v1/files/{file_id}/compare", json={"ocr_engine": "tesseract"})
    assert answer.status_code == 202, answer.text
    job: dict[str, object] = answer.json()
    return job


async def test_a_comparison_is_a_job_that_the_file_does_not_show(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    file = await published(client, postgres_dsn, "a.txt")
    job = await compare(client, file.file_id)
    assert job["kind"] == "compare_reading"
    assert job["workflow_id"] == f"compare-{version_id(postgres_dsn, file)}-{TESSERACT}"
    assert (await compare(client, file.file_id))["id"] == job["id"]
    shown = (await client.get(f"/v1/files/{file.file_id}")).json()
    assert (shown["state"], shown["job"]["id"]) == ("ready", file.job_id)
    actions = audit_actions(postgres_dsn, tenant.tenant_id)
    assert actions.count("file.comparison_requested") == 2
    listed = (await client.get("/v1/reading-comparisons")).json()["data"]
    assert [each["job_id"] for each in listed] == [job["id"]]
    assert listed[0]["similarity"] is None


def version_id(dsn: str, file: Published) -> UUID:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "SELECT id FROM file_version WHERE file_id = %s", (file.file_id,)
        ).fetchone()
    assert row is not None
    return UUID(str(row[0]))


async def test_a_comparison_takes_no_message_but_a_cancellation_and_is_not_retried(
    client: httpx.AsyncClient, postgres_dsn: str
) -> None:
    file = await published(client, postgres_dsn, "a.txt")
    job = await compare(client, file.file_id)
    for verb in ("pause", "resume", "release"):
        answer = await client.post(f"/v1/jobs/{job['id']}/{verb}")
        assert answer.status_code == 409, verb
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("UPDATE job SET state = 'failed' WHERE id = %s", (job["id"],))
    retried = await client.post(f"/v1/jobs/{job['id']}/retry")
    assert retried.status_code == 409
    assert "compared again" in retried.json()["remedy"]


async def test_a_file_that_is_not_ready_is_not_compared(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient, postgres_dsn: str
) -> None:
    unread = (await client.post("/v1/files?name=b.txt", content=b"b")).json()
    answer = await client.post(f"/v1/files/{unread['id']}/compare")
    assert answer.status_code == 409
    file = await published(client, postgres_dsn, "c.txt")
    await client.delete(f"/v1/files/{file.file_id}")
    assert (await client.post(f"/v1/files/{file.file_id}/compare")).status_code == 409
    for engine in ("magic", "surya"):
        wrong = await client.post(f"/v1/files/{file.file_id}/compare", json={"ocr_engine": engine})
        assert wrong.status_code == 422, engine
    unknown = await client.post(f"/v1/files/{file.file_id}/compare", json={"pdf_pipeline": "magic"})
    assert unknown.status_code == 422
    assert (await stranger.post(f"/v1/files/{file.file_id}/compare")).status_code == 404
    assert (await client.post(f"/v1/files/{uuid4()}/compare")).status_code == 404


async def test_what_was_published_is_compared_however_its_job_ended(
    client: httpx.AsyncClient, postgres_dsn: str
) -> None:
    file = await published(client, postgres_dsn, "a.txt", "cancelled")
    await compare(client, file.file_id)
    unpublished = await published(client, postgres_dsn, "b.txt")
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("UPDATE job SET stages = '[]' WHERE id = %s", (unpublished.job_id,))
    answer = await client.post(f"/v1/files/{unpublished.file_id}/compare")
    assert answer.status_code == 409


async def test_a_document_that_needs_a_password_is_not_compared(
    client: httpx.AsyncClient, postgres_dsn: str
) -> None:
    file = await published(client, postgres_dsn, "a.txt")
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "INSERT INTO stage_output (tenant_id, job_id, stage, part, fingerprint, blob_id, summary)"
            " SELECT tenant_id, %s, 'inspect', 0, 'f', blob_id, '{\"has_password\": true}'"
            " FROM file_version WHERE file_id = %s",
            (file.job_id, file.file_id),
        )
    answer = await client.post(f"/v1/files/{file.file_id}/compare")
    assert answer.status_code == 409
    assert "password" in answer.json()["detail"]
    assert "Upload" in answer.json()["remedy"]


async def test_the_summary_says_what_a_candidate_would_change(
    api: ApiProcess,
    client: httpx.AsyncClient,
    stranger: httpx.AsyncClient,
    tenant: TenantFixture,
    postgres_dsn: str,
) -> None:
    jobs = []
    for name, similarities in (("a.txt", [1.0, 0.9, 0.8]), ("b.txt", [0.2]), ("c.txt", [])):
        file = await published(client, postgres_dsn, name)
        job = await compare(client, file.file_id)
        figures(postgres_dsn, str(job["id"]), similarities)
        jobs.append((file, job))
    failing = await compare(client, (await published(client, postgres_dsn, "d.txt")).file_id)
    problem = {
        "type": "urn:muniment:problem:configuration",
        "title": "t",
        "detail": "d",
        "remedy": "Install muniment[tesseract].",
    }
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "UPDATE job SET state = 'failed', finished_at = now(), error = %s WHERE id = %s",
            (json.dumps(problem), failing["id"]),
        )
    (summary,) = (await client.get("/v1/reading-comparisons/summary")).json()["data"]
    assert summary["candidate"] == TESSERACT
    assert (summary["files"], summary["files_without_difference"]) == (2, 1)
    assert (summary["files_failed"], summary["files_open"], summary["pages"]) == (1, 0, 4)
    assert summary["similarity"]["mean"] == pytest.approx(0.725)
    assert summary["similarity"]["median"] == pytest.approx(0.85)
    assert summary["similarity"]["identical"] == 0.25
    assert summary["words"] == {"present": 400, "candidate": 407, "lost": 40, "gained": 48}
    assert (summary["pages_more_words"], summary["pages_less_confident"]) == (4, 4)
    assert summary["time_ratio"] == pytest.approx(2.0)
    assert summary["structure"]["cells"] == {"present": 8, "candidate": 10, "shared": 6}
    assert summary["problems"][0]["remedy"] == problem["remedy"]
    assert [each["file_id"] for each in summary["worst_files"]] == [
        jobs[1][0].file_id,
        jobs[0][0].file_id,
    ]
    await expect_told_alike(api, tenant, summary)
    nothing = {"since": "2999-01-01T00:00:00Z"}
    for other in (
        await client.get("/v1/reading-comparisons/summary", params=nothing),
        await client.get("/v1/reading-comparisons/summary", params={"candidate": "another"}),
        await stranger.get("/v1/reading-comparisons/summary"),
        await stranger.get("/v1/reading-comparisons"),
    ):
        assert other.json()["data"] == []
    # What is in the trash is out of the report, too.
    await client.delete(f"/v1/files/{jobs[1][0].file_id}")
    (rest,) = (await client.get("/v1/reading-comparisons/summary")).json()["data"]
    assert (rest["files"], rest["pages"]) == (1, 3)


async def expect_told_alike(
    api: ApiProcess, tenant: TenantFixture, summary: dict[str, object]
) -> None:
    """By the client and on the command line."""
    async with AsyncMuniment(api.url, tenant.api_key) as muniment:
        (told,) = (await muniment.comparisons.summary()).data
        listed = (await muniment.comparisons.list(filters={"state": "failed"})).data
    assert told.model_dump(mode="json") == summary
    assert [each.error.remedy for each in listed if each.error] == ["Install muniment[tesseract]."]
    shown = await command_line(api, tenant, "shadow")
    assert shown.returncode == 0, shown.stderr
    assert "2 compared, 1 failed, 1 the same" in shown.stdout
    assert "median 0.850" in shown.stdout
    assert "Install muniment[tesseract]." in shown.stdout


async def command_line(
    api: ApiProcess, tenant: TenantFixture, *arguments: str
) -> subprocess.CompletedProcess[str]:
    located = {"MUNIMENT_API__URL": api.url, "MUNIMENT_API__KEY": tenant.api_key}
    command = [sys.executable, "-c", "from muniment.cli.main import run; run()", *arguments]
    return await asyncio.to_thread(
        subprocess.run,
        command,
        env={**os.environ, **located},
        capture_output=True,
        text=True,
        timeout=60,
    )


async def test_the_client_and_the_command_line_have_files_compared(
    api: ApiProcess, client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    file = await published(client, postgres_dsn, "a.txt")
    async with AsyncMuniment(api.url, tenant.api_key) as muniment:
        job = await muniment.files.compare(file.file_id, ocr_engine="tesseract")
        with pytest.raises(NotFound):
            await muniment.files.compare(uuid4())
    asked = ("shadow", "run", file.file_id, "--engine", "tesseract", "--no-wait", "--json")
    shown = await command_line(api, tenant, *asked)
    assert shown.returncode == 0, shown.stderr
    assert [each["id"] for each in json.loads(shown.stdout)] == [str(job.id)]
    refused = await command_line(api, tenant, "shadow", "run", str(uuid4()))
    assert refused.returncode == 1
    for option, unknown in (("--engine", "surya"), ("--pipeline", "magic")):
        wrong = await command_line(api, tenant, "shadow", "run", file.file_id, option, unknown)
        assert wrong.returncode == 2, wrong.stderr
    figures(postgres_dsn, str(job.id), [0.5])
    (listed,) = (await client.get(f"/v1/reading-comparisons?file={file.file_id}")).json()["data"]
    assert (listed["candidate"], listed["state"]) == (TESSERACT, "completed")
    assert listed["words"] == {"present": 100, "candidate": 101, "lost": 10, "gained": 12}


async def test_an_engine_and_a_pipeline_are_one_candidate(
    api: ApiProcess, client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    file = await published(client, postgres_dsn, "a.pdf")
    version = version_id(postgres_dsn, file)
    both = {"ocr_engine": "tesseract", "pdf_pipeline": "docling"}
    answer = await client.post(f"/v1/files/{file.file_id}/compare", json=both)
    assert answer.status_code == 202, answer.text
    candidate = f"{TESSERACT}+pdf_pipeline=docling"
    assert answer.json()["workflow_id"] == f"compare-{version}-{candidate}"
    async with AsyncMuniment(api.url, tenant.api_key) as muniment:
        again = await muniment.files.compare(file.file_id, **both)
        alone = await muniment.files.compare(file.file_id, pdf_pipeline="docling")
        (found,) = (await muniment.comparisons.list(filters={"candidate": candidate})).data
    assert str(again.id) == answer.json()["id"]
    assert (found.candidate, found.job_id) == (candidate, again.id)
    asked = ("shadow", "run", file.file_id, "--pipeline", "docling", "--no-wait", "--json")
    shown = await command_line(api, tenant, *asked)
    assert shown.returncode == 0, shown.stderr
    assert [each["id"] for each in json.loads(shown.stdout)] == [str(alone.id)]


async def test_comparisons_are_listed_newest_first_page_by_page(
    client: httpx.AsyncClient, postgres_dsn: str
) -> None:
    made = []
    for name in ("a.txt", "b.txt", "c.txt"):
        file = await published(client, postgres_dsn, name)
        made.append((await compare(client, file.file_id))["id"])
    figures(postgres_dsn, str(made[2]), [0.5])
    first = (await client.get("/v1/reading-comparisons?limit=2")).json()
    second = (
        await client.get(f"/v1/reading-comparisons?limit=2&cursor={first['next_cursor']}")
    ).json()
    listed = [each["job_id"] for each in (*first["data"], *second["data"])]
    assert (listed, second["next_cursor"]) == (made[::-1], None)
    assert first["data"][0]["similarity"] == 0.5
    completed = (await client.get("/v1/reading-comparisons?state=completed")).json()["data"]
    assert [each["job_id"] for each in completed] == [made[2]]


async def test_who_may_not_read_a_file_is_not_told_of_its_comparisons(
    api: ApiProcess, client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    private = await client.post("/v1/collections", json={"name": "p", "visibility": "private"})
    assert private.status_code == 201, private.text
    file = await published(client, postgres_dsn, "a.txt")
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "UPDATE file SET collection_id = %s WHERE id = %s",
            (private.json()["id"], file.file_id),
        )
    job = await compare(client, file.file_id)
    figures(postgres_dsn, str(job["id"]), [0.5])
    reader = make_tenant(postgres_dsn, tenant.name, principal="reader", is_admin=False)
    async with client_of(api, reader.api_key) as other:
        for path in ("/v1/reading-comparisons", "/v1/reading-comparisons/summary"):
            assert (await other.get(path)).json()["data"] == []
        refused = await other.post(f"/v1/files/{file.file_id}/compare")
        assert refused.status_code == 404
