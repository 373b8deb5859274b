"""/v1/uploads by the words of the tus specification, against a real server."""

import base64
import hashlib
import os
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from uuid import uuid4

import httpx
import psycopg
import pytest

from db.models import now
from tests.api.conftest import ApiProcess, audit_actions, client_of
from tests.api.tus import (
    PIECE,
    VERSION,
    address,
    checksum,
    content_of,
    create,
    head,
    metadata,
    offset_of,
    opened,
    patch,
)
from tests.conftest import TenantFixture, make_tenant


@pytest.fixture(params=["folder_api", "s3_api"], ids=["folder", "s3"])
def api(request: pytest.FixtureRequest) -> ApiProcess:
    """Over either kind of store."""
    found: ApiProcess = request.getfixturevalue(request.param)
    return found


async def test_pieces_become_a_file_with_its_job(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    created = await create(client, 11, metadata='{"year": 2026}', priority="2")
    path = address(created)
    assert "Muniment-File" not in created.headers
    assert parsedate_to_datetime(created.headers["Upload-Expires"]) > now()
    assert created.headers["Tus-Resumable"] == "1.0.0"
    first = await patch(client, path, 0, b"hello ")
    assert (first.status_code, first.headers["Upload-Offset"]) == (204, "6")
    assert "Upload-Expires" in first.headers
    assert "Muniment-File" not in first.headers
    asked = await head(client, path)
    assert asked.headers["Cache-Control"] == "no-store"
    assert (asked.headers["Upload-Offset"], asked.headers["Upload-Length"]) == ("6", "11")
    assert "filename" in asked.headers["Upload-Metadata"]
    last = await patch(client, path, 6, b"world")
    assert (last.status_code, last.headers["Upload-Offset"]) == (204, "11")
    assert "Upload-Expires" in last.headers
    file = (await client.get(f"/v1/files/{last.headers['Muniment-File']}")).json()
    assert (file["name"], file["size"], file["media_type"]) == ("a.txt", 11, "text/plain")
    assert file["sha256"] == hashlib.sha256(b"hello world").hexdigest()
    assert (file["metadata"], file["job"]["priority"]) == ({"year": 2026}, 2)
    assert await content_of(client, file["id"]) == b"hello world"
    asked = await head(client, path)
    assert asked.headers["Muniment-File"] == file["id"]
    assert "Upload-Metadata" not in asked.headers, "what it is called is the file's to say now"
    assert audit_actions(postgres_dsn, tenant.tenant_id)[:2] == ["upload.created", "file.created"]


async def test_the_same_content_by_either_way_is_the_same_file(client: httpx.AsyncClient) -> None:
    whole = await client.post(
        "/v1/files?name=a.txt", content=b"twice", headers={"Content-Type": "text/plain"}
    )
    path = await opened(client, 5)
    last = await patch(client, path, 0, b"twice")
    assert last.headers["Muniment-File"] == whole.json()["id"]


async def test_options_tell_what_the_server_can_without_a_key(api: ApiProcess) -> None:
    async with httpx.AsyncClient(base_url=api.url, trust_env=False) as client:
        for path in ("/v1/uploads", f"/v1/uploads/{uuid4()}"):
            answer = await client.options(path)
            assert answer.status_code == 204
            assert answer.headers["Tus-Version"] == "1.0.0"
            assert set(answer.headers["Tus-Extension"].split(",")) == {
                "creation",
                "creation-with-upload",
                "creation-defer-length",
                "expiration",
                "checksum",
                "termination",
                "concatenation",
            }
            assert answer.headers["Tus-Checksum-Algorithm"] == "sha1,sha256,sha512"
            assert answer.headers["Tus-Max-Size"] == str(400 * 1024 * 1024)


@pytest.mark.parametrize("version", [{}, {"Tus-Resumable": "0.2.2"}])
async def test_another_version_is_412_and_says_which_is_spoken(
    client: httpx.AsyncClient, version: dict[str, str]
) -> None:
    path = await opened(client, 3)
    requests = [
        client.post("/v1/uploads", headers={**version, "Upload-Length": "3"}),
        client.head(path, headers=version),
        client.patch(path, headers={**PIECE, "Tus-Resumable": "9", "Upload-Offset": "0"}),
        client.delete(path, headers=version),
    ]
    for request in requests:
        answer = await request
        assert answer.status_code == 412
        assert answer.headers["Tus-Version"] == answer.headers["Tus-Resumable"] == "1.0.0"


async def test_an_offset_that_is_not_the_uploads_is_409(client: httpx.AsyncClient) -> None:
    path = await opened(client, 6)
    await patch(client, path, 0, b"abc")
    for wrong in (0, 2, 4):
        answer = await patch(client, path, wrong, b"def")
        assert answer.status_code == 409
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.headers["Tus-Resumable"] == "1.0.0"
    assert await offset_of(client, path) == 3
    assert (await patch(client, path, 3, b"def")).status_code == 204
    assert (await patch(client, path, 6, b"")).status_code == 409, "it is finished"


async def test_another_type_of_body_is_415(client: httpx.AsyncClient) -> None:
    path = await opened(client, 3)
    answer = await patch(client, path, 0, b"abc", {"Content-Type": "text/plain"})
    assert answer.status_code == 415
    answer = await patch(client, path, 0, b"abc", {"Content-Encoding": "gzip"})
    assert answer.status_code == 415
    answer = await create(client, 3, {"Content-Type": "text/plain"}, content=b"abc")
    assert answer.status_code == 415


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Upload-Length": "-1"},
        {"Upload-Length": "1.5"},
        {"Upload-Length": "9" * 30},
        {"Upload-Defer-Length": "2"},
        {"Upload-Length": "3", "Upload-Defer-Length": "1"},
        {"Upload-Length": "3", "Upload-Concat": "whole"},
        {"Upload-Concat": "final;"},
        {"Upload-Concat": "final;/v1/uploads/none"},
        {"Upload-Length": "3", "Upload-Metadata": "filename !!!"},
        {"Upload-Length": "3", "Upload-Metadata": "filename YQ==,filename YQ=="},
        {"Upload-Length": "3", "Upload-Metadata": "filename /w=="},
    ],
)
async def test_malformed_creations_are_400(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    sent = {**VERSION, "Upload-Metadata": metadata(filename="a"), **headers}
    answer = await client.post("/v1/uploads", headers=sent)
    assert answer.status_code == 400, answer.text


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"priority": "9"}, "priority"),
        ({"collection": "no such"}, "collection"),
        ({"metadata": "[1]"}, "metadata"),
        ({"unheard_of": "1"}, "unheard_of"),
        ({"password": "secret"}, "password"),
        ({"filename": ""}, "name"),
    ],
)
async def test_wrong_fields_cost_no_transfer_and_are_named(
    client: httpx.AsyncClient, fields: dict[str, str], wrong: str
) -> None:
    answer = await create(client, 3, **fields)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"] == wrong


async def test_more_than_the_limit_and_more_than_was_announced_are_413(
    client: httpx.AsyncClient,
) -> None:
    answer = await create(client, 400 * 1024 * 1024 + 1)
    assert (answer.status_code, answer.headers["Tus-Max-Size"]) == (413, str(400 * 1024 * 1024))
    path = await opened(client, 3)
    assert (await patch(client, path, 0, b"abcd")).status_code == 413

    async def unannounced() -> AsyncIterator[bytes]:
        yield b"ab"
        yield b"cd"

    assert (await patch(client, path, 0, unannounced())).status_code == 413
    assert await offset_of(client, path) == 0


async def test_others_find_nothing(
    client: httpx.AsyncClient,
    stranger: httpx.AsyncClient,
    api: ApiProcess,
    tenant: TenantFixture,
    postgres_dsn: str,
) -> None:
    path = await opened(client, 3)
    partial = await opened(client, 0, headers={"Upload-Concat": "partial"})
    colleague = make_tenant(postgres_dsn, tenant.name, principal="colleague")
    async with client_of(api, colleague.api_key) as other:
        for outsider in (stranger, other):
            assert (await head(outsider, path)).status_code == 404
            assert (await patch(outsider, path, 0, b"abc")).status_code == 404
            assert (await outsider.delete(path, headers=VERSION)).status_code == 404
            joined = await create(outsider, None, {"Upload-Concat": f"final;{partial}"})
            assert joined.status_code == 404
    assert (await patch(client, path, 0, b"abc")).status_code == 204


async def test_a_terminated_upload_is_410_and_its_parts_are_unreadable(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    path = await opened(client, 6)
    await patch(client, path, 0, b"abc")
    assert (await client.delete(path, headers=VERSION)).status_code == 204
    assert (await head(client, path)).status_code == 410
    assert (await patch(client, path, 3, b"def")).status_code == 410
    assert (await client.delete(path, headers=VERSION)).status_code == 410
    assert audit_actions(postgres_dsn, tenant.tenant_id) == ["upload.created", "upload.terminated"]
    finished = await opened(client, 0)
    assert (await client.delete(finished, headers=VERSION)).status_code == 409


async def test_an_expired_upload_is_410(client: httpx.AsyncClient, postgres_dsn: str) -> None:
    path = await opened(client, 6)
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "UPDATE upload SET expires_at = now() WHERE id = %s", (path.rpartition("/")[2],)
        )
    assert (await head(client, path)).status_code == 410
    assert (await patch(client, path, 0, b"abc")).status_code == 410


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
async def test_a_piece_that_does_not_fit_its_checksum_is_discarded(
    client: httpx.AsyncClient, api: ApiProcess, tenant: TenantFixture, algorithm: str
) -> None:
    path = await opened(client, 6)
    wrong = await patch(client, path, 0, b"abc", {"Upload-Checksum": checksum(b"abd", algorithm)})
    assert wrong.status_code == 460
    assert await offset_of(client, path) == 0
    assert api.stored_objects(tenant.tenant_id) == []
    right = {"Upload-Checksum": checksum(b"abc", algorithm)}
    assert (await patch(client, path, 0, b"abc", right)).status_code == 204
    last = await patch(client, path, 3, b"xyz", {"Upload-Checksum": checksum(b"def", algorithm)})
    assert last.status_code == 460
    assert await offset_of(client, path) == 3
    last = await patch(client, path, 3, b"def", {"Upload-Checksum": checksum(b"def", algorithm)})
    assert await content_of(client, last.headers["Muniment-File"]) == b"abcdef"


@pytest.mark.parametrize("value", ["md5 rL0Y20zC+Fzt72VPzMSk2A==", "sha1 !!!", "sha1 YQ==", ""])
async def test_checksums_that_cannot_be_verified_are_400(
    client: httpx.AsyncClient, value: str
) -> None:
    path = await opened(client, 3)
    assert (await patch(client, path, 0, b"abc", {"Upload-Checksum": value})).status_code == 400
    assert await offset_of(client, path) == 0


async def test_a_piece_that_does_not_fit_its_content_digest_is_discarded(
    client: httpx.AsyncClient,
) -> None:
    path = await opened(client, 3)
    digest = base64.b64encode(hashlib.sha256(b"abc").digest()).decode()
    header = {"Content-Digest": f"sha-256=:{digest}:"}
    assert (await patch(client, path, 0, b"abd", header)).status_code == 400
    assert await offset_of(client, path) == 0
    assert (await patch(client, path, 0, b"abc", header)).status_code == 204


async def test_the_first_piece_may_come_with_the_creation(client: httpx.AsyncClient) -> None:
    created = await create(client, 6, content=b"abc")
    path = address(created)
    assert created.headers["Upload-Offset"] == "3"
    last = await patch(client, path, 3, b"def")
    assert await content_of(client, last.headers["Muniment-File"]) == b"abcdef"
    whole = await create(client, 6, content=b"ABCDEF")
    assert (whole.status_code, whole.headers["Upload-Offset"]) == (201, "6")
    assert await content_of(client, whole.headers["Muniment-File"]) == b"ABCDEF"


async def test_an_empty_file_is_one_at_its_creation(client: httpx.AsyncClient) -> None:
    created = await create(client, 0)
    assert created.headers["Upload-Offset"] == "0"
    file = (await client.get(f"/v1/files/{created.headers['Muniment-File']}")).json()
    assert file["size"] == 0
    assert (await head(client, address(created))).headers["Upload-Length"] == "0"


async def test_the_length_may_be_said_later(client: httpx.AsyncClient) -> None:
    path = await opened(client, None, headers={"Upload-Defer-Length": "1"})
    await patch(client, path, 0, b"abc")
    asked = await head(client, path)
    assert asked.headers["Upload-Defer-Length"] == "1"
    assert "Upload-Length" not in asked.headers
    answer = await patch(client, path, 3, b"d", {"Upload-Length": "2"})
    assert answer.status_code == 400, "less than has come"
    answer = await patch(client, path, 3, b"de", {"Upload-Length": "6"})
    assert "Muniment-File" not in answer.headers
    assert (await head(client, path)).headers["Upload-Length"] == "6"
    answer = await patch(client, path, 5, b"f", {"Upload-Length": "7"})
    assert answer.status_code == 400, "the length does not change"
    last = await patch(client, path, 5, b"f")
    assert await content_of(client, last.headers["Muniment-File"]) == b"abcdef"


async def test_the_length_may_be_said_when_all_has_come(client: httpx.AsyncClient) -> None:
    for content in (b"abc", b""):
        path = await opened(client, None, headers={"Upload-Defer-Length": "1"})
        await patch(client, path, 0, content)
        last = await patch(client, path, len(content), b"", {"Upload-Length": str(len(content))})
        assert await content_of(client, last.headers["Muniment-File"]) == content


async def test_partial_uploads_are_joined_in_the_order_that_is_named(
    client: httpx.AsyncClient,
) -> None:
    pieces = [os.urandom(70_000) for _ in range(3)]
    partials = []
    for piece in pieces:
        path = await opened(
            client, len(piece), headers={"Upload-Concat": "partial", "Upload-Metadata": ""}
        )
        unfinished = await create(client, None, {"Upload-Concat": f"final;{path}"})
        assert unfinished.status_code == 409
        done = await patch(client, path, 0, piece)
        assert "Muniment-File" not in done.headers
        assert (await head(client, path)).headers["Upload-Concat"] == "partial"
        partials.append(path)
    order = [partials[2], str(client.base_url.join(partials[0])), partials[1]]
    concatenation = {"Upload-Concat": "final;" + " ".join(order)}
    final = await create(client, None, concatenation)
    expected = pieces[2] + pieces[0] + pieces[1]
    assert await content_of(client, final.headers["Muniment-File"]) == expected
    asked = await head(client, address(final))
    assert asked.headers["Upload-Concat"] == concatenation["Upload-Concat"]
    assert asked.headers["Upload-Length"] == asked.headers["Upload-Offset"] == str(len(expected))
    assert (await patch(client, address(final), 0, b"x")).status_code == 403
    again = await create(client, None, concatenation)
    assert again.status_code == 409, "the partial uploads have ended"


async def test_only_different_partial_uploads_are_joined_and_not_too_many(
    client: httpx.AsyncClient,
) -> None:
    whole = await opened(client, 3)
    partial = await opened(client, 0, headers={"Upload-Concat": "partial"})
    for named in (whole, f"{partial} {partial}", " ".join([partial] * 501)):
        answer = await create(client, None, {"Upload-Concat": f"final;{named}"})
        assert answer.status_code == 400
    answer = await create(client, 3, {"Upload-Concat": f"final;{partial}"})
    assert answer.status_code == 400, "it is as long as they are"


async def test_a_creation_is_repeated_under_its_idempotency_key(
    client: httpx.AsyncClient,
) -> None:
    key = {"Idempotency-Key": "u-1"}
    first = await create(client, 6, key)
    await patch(client, address(first), 0, b"abc")
    again = await create(client, 6, key)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert address(again) == address(first)
    assert again.headers["Upload-Offset"] == "3"
    assert (await create(client, 7, key)).status_code == 422
    empty = {"Idempotency-Key": "u-2"}
    first = await create(client, 0, empty)
    again = await create(client, 0, empty)
    assert again.headers["Muniment-File"] == first.headers["Muniment-File"]


async def test_a_password_comes_with_the_last_piece_and_is_not_kept_before(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    path = await opened(client, 6, headers={"X-Document-Password": "sesame"})
    await patch(client, path, 0, b"abc", {"X-Document-Password": "sesame"})
    count = "SELECT count(*) FROM job_password WHERE tenant_id = %s"
    with psycopg.connect(postgres_dsn) as connection:
        assert connection.execute(count, (tenant.tenant_id,)).fetchone() == (0,)
        await patch(client, path, 3, b"def", {"X-Document-Password": "sesame"})
        assert connection.execute(count, (tenant.tenant_id,)).fetchone() == (1,)


async def test_what_a_client_cannot_send_it_may_override(client: httpx.AsyncClient) -> None:
    path = await opened(client, 3)
    answer = await client.post(
        path,
        headers={**PIECE, "Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"},
        content=b"abc",
    )
    assert answer.status_code == 204
    assert "Muniment-File" in answer.headers


async def test_the_address_holds_below_a_proxys_prefix_and_behind_a_slash(
    client: httpx.AsyncClient,
) -> None:
    for path in ("/v1/uploads", "/v1/uploads/"):
        created = await client.post(
            path,
            headers={**VERSION, "Upload-Length": "3", "Upload-Metadata": metadata(filename="a")},
        )
        location = httpx.URL(f"https://proxy/prefix{path}").join(created.headers["Location"])
        assert location.path == f"/prefix/v1/uploads/{created.json()['id']}"
