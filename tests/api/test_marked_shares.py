"""Links that hand out marked copies never hand out the content itself."""

import httpx
import psycopg
import pytest

from muniment.contracts.render_view import MAXIMUM_MARKABLE_BYTES
from tests.api.conftest import ApiProcess
from tests.api.sharing import CONTENT, change, clean_file, downloads_of, share, visitor
from tests.conftest import TenantFixture


@pytest.fixture
async def file_id(client: httpx.AsyncClient, postgres_dsn: str) -> str:
    return await clean_file(client, postgres_dsn)


async def test_what_is_still_being_taken_in_is_not_handed_out_unmarked(
    api: ApiProcess, client: httpx.AsyncClient, file_id: str
) -> None:
    link = await share(client, file_id, watermark=True)
    assert (await client.get(f"/v1/shares/{link.id}")).json()["watermark"] is True
    async with visitor(api) as anybody:
        page = await anybody.get(link.path)
        assert page.status_code == 200
        assert "Each page says who shared it." in page.text
        assert "Size" not in page.text, "that of the copy is another"
        for ask in (anybody.get, anybody.head):
            for headers in ({}, {"Range": "bytes=0-9"}):
                answer = await ask(link.content, headers=headers)
                assert answer.status_code == 503
                assert int(answer.headers["Retry-After"]) > 0
                assert CONTENT[:10] not in answer.content
    assert await downloads_of(client, link) == 0


BECOMES = "UPDATE file_version SET published_at = now(), media_type = %s WHERE file_id = %s"


@pytest.mark.parametrize("media_type", ["image/png", "text/html"])
async def test_a_newer_version_that_cannot_be_marked_is_not_handed_out(
    api: ApiProcess, client: httpx.AsyncClient, file_id: str, postgres_dsn: str, media_type: str
) -> None:
    link = await share(client, file_id, watermark=True)
    change(postgres_dsn, BECOMES, media_type, file_id)
    async with visitor(api) as anybody:
        answer = await anybody.get(link.content)
    assert answer.status_code == 409
    assert "cannot be handed out" in answer.text
    assert CONTENT[:10] not in answer.content
    assert await downloads_of(client, link) == 0


async def test_no_link_is_made_to_what_cannot_be_marked(
    client: httpx.AsyncClient, file_id: str, postgres_dsn: str
) -> None:
    change(postgres_dsn, BECOMES, "image/png", file_id)
    large = await clean_file(client, postgres_dsn, "large.pdf", bytes(MAXIMUM_MARKABLE_BYTES + 1))
    for each in (file_id, large):
        refused = await client.post("/v1/shares", json={"file_id": each, "watermark": True})
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["field"] == "watermark"
    plain = await client.post("/v1/shares", json={"file_id": file_id})
    assert plain.status_code == 201
    assert plain.json()["watermark"] is False


async def test_the_mark_cannot_be_taken_off_a_link(
    client: httpx.AsyncClient, file_id: str, postgres_dsn: str, tenant: TenantFixture
) -> None:
    link = await share(client, file_id, watermark=True)
    refused = await client.patch(f"/v1/shares/{link.id}", json={"watermark": False})
    assert refused.status_code == 422
    assert (await client.get(f"/v1/shares/{link.id}")).json()["watermark"] is True
    with psycopg.connect(postgres_dsn) as connection:
        (told,) = connection.execute(
            "SELECT payload->>'watermark' FROM audit_event"
            " WHERE action = 'share.created' AND tenant_id = %s",
            (tenant.tenant_id,),
        ).fetchone() or (None,)
    assert told == "true"
