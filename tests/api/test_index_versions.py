"""`/v1/index-versions`: built one at a time, by administrators, and the tenant's own."""

from uuid import UUID

import httpx
import psycopg
from typer.testing import CliRunner

from db.models import new_id
from muniment.api_keys import ALL_SCOPES
from muniment.cli.main import app
from muniment.client import AsyncMuniment
from muniment.embedding import DIMENSIONS, MODEL_ID, MODEL_VERSION, SHORT_MODEL_ID
from tests.api.conftest import ApiProcess, audit_actions, client_of
from tests.conftest import TenantFixture, make_tenant

PATH = "/v1/index-versions"
MEASURED = '{"questions": 20, "overlap": 0.9, "recall": 1.0}'


def add_active(dsn: str, tenant_id: UUID, version: str = MODEL_VERSION) -> str:
    """As the first publication leaves it."""
    index = new_id()
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "INSERT INTO index_version (id, tenant_id, model_id, model_version, dimensions, state,"
            " created_at, activated_at) VALUES (%s, %s, %s, %s, %s, 'active', now(), now())",
            (index, tenant_id, MODEL_ID, version, DIMENSIONS),
        )
    return str(index)


def make_ready(dsn: str, index: str, evaluation: str | None = MEASURED) -> None:
    """As the workflow leaves it."""
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "UPDATE index_version SET state = 'ready', evaluation = %s WHERE id = %s",
            (evaluation, index),
        )


async def test_one_is_built_activated_and_gone_back_from(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    assert (await client.post(PATH, json={})).status_code == 409
    first = add_active(postgres_dsn, tenant.tenant_id)
    answer = await client.post(PATH, json={"model": SHORT_MODEL_ID})
    made = answer.json()
    assert (answer.status_code, answer.headers["Location"]) == (202, f"{PATH}/{made['id']}")
    assert (made["state"], made["dimensions"], made["percent"]) == ("building", 192, 0.0)
    assert (await client.post(PATH, json={"model": SHORT_MODEL_ID})).json() == made
    assert (await client.post(PATH, json={"model": MODEL_ID})).status_code == 409
    other = {"model": SHORT_MODEL_ID, "activation": "automatic"}
    assert (await client.post(PATH, json=other)).status_code == 409
    path = f"{PATH}/{made['id']}"
    assert (await client.post(f"{path}/activate")).status_code == 409
    for verb, is_paused in (("pause", True), ("pause", True), ("resume", False)):
        assert (await client.post(f"{path}/{verb}")).json()["paused"] is is_paused
    make_ready(postgres_dsn, made["id"], evaluation=None)
    assert (await client.post(f"{path}/activate")).status_code == 409
    make_ready(postgres_dsn, made["id"])
    assert (await client.post(f"{path}/pause")).status_code == 409
    activated = (await client.post(f"{path}/activate")).json()
    assert (activated["state"], activated["percent"]) == ("active", 100.0)
    former = (await client.get(f"{PATH}/{first}")).json()
    assert (former["state"], former["retire_at"] is not None) == ("superseded", True)
    assert (await client.post(f"{path}/cancel")).status_code == 409
    back = (await client.post(f"{path}/rollback")).json()
    assert (back["id"], back["state"], back["retire_at"]) == (first, "active", None)
    # A repetition goes back no further.
    assert (await client.post(f"{path}/rollback")).status_code == 409
    assert (await client.post(f"{path}/activate")).json()["state"] == "active"
    acts = [
        action
        for action in audit_actions(postgres_dsn, tenant.tenant_id)
        if action.startswith("index.")
    ]
    assert sorted(set(acts)) == [
        "index.activated",
        "index.paused",
        "index.requested",
        "index.resumed",
        "index.rolled_back",
    ]
    assert (acts.count("index.paused"), acts.count("index.requested")) == (1, 1)


async def test_one_is_given_up(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    first = add_active(postgres_dsn, tenant.tenant_id)
    made = (await client.post(PATH, json={})).json()
    cancelled = (await client.post(f"{PATH}/{made['id']}/cancel")).json()
    assert (cancelled["state"], cancelled["outcome"]) == ("retired", "cancelled")
    for verb in ("cancel", "activate", "pause", "resume", "rollback"):
        assert (await client.post(f"{PATH}/{made['id']}/{verb}")).status_code == 409, verb
    assert (await client.post(f"{PATH}/{first}/rollback")).status_code == 409
    assert (await client.get(f"{PATH}/{first}")).json()["state"] == "active"


async def test_what_means_nothing_is_refused(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    add_active(postgres_dsn, tenant.tenant_id)
    refused = await client.post(PATH, json={"model": "another"})
    assert (refused.status_code, SHORT_MODEL_ID in refused.json()["remedy"]) == (422, True)
    for body in ({"activation": "never"}, {"model": "x" * 201}, {"unknown": 1}):
        assert (await client.post(PATH, json=body)).status_code == 422, body
    assert (await client.get(f"{PATH}?cursor=garbage")).status_code == 400
    assert (await client.get(f"{PATH}/garbage")).status_code == 422
    assert (await client.get(f"{PATH}/{new_id()}")).status_code == 404


async def test_an_index_of_a_model_that_is_gone_is_not_gone_back_to(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    add_active(postgres_dsn, tenant.tenant_id, version="of-before")
    made = (await client.post(PATH, json={})).json()
    make_ready(postgres_dsn, made["id"])
    assert (await client.post(f"{PATH}/{made['id']}/activate")).status_code == 200
    refused = await client.post(f"{PATH}/{made['id']}/rollback")
    assert (refused.status_code, "release" in refused.json()["detail"]) == (409, True)
    assert (await client.get(f"{PATH}/{made['id']}")).json()["state"] == "active"


async def test_only_administrators_of_the_tenant_change_them(
    api: ApiProcess,
    client: httpx.AsyncClient,
    stranger: httpx.AsyncClient,
    tenant: TenantFixture,
    postgres_dsn: str,
) -> None:
    first = add_active(postgres_dsn, tenant.tenant_id)
    made = (await client.post(PATH, json={})).json()
    other = make_tenant(
        postgres_dsn, tenant.name, principal="reader", is_admin=False, scopes=ALL_SCOPES
    )
    async with client_of(api, other.api_key) as reader:
        for path in ("", *(f"/{made['id']}/{verb}" for verb in ("activate", "cancel", "pause"))):
            assert (await reader.post(f"{PATH}{path}", json={})).status_code == 403, path
        assert len((await reader.get(PATH)).json()["data"]) == 2
    for index in (first, made["id"]):
        assert (await stranger.get(f"{PATH}/{index}")).status_code == 404
        for verb in ("activate", "rollback", "cancel", "pause", "resume"):
            assert (await stranger.post(f"{PATH}/{index}/{verb}")).status_code == 404, verb
    assert (await stranger.get(PATH)).json()["data"] == []


async def test_the_client_and_the_command_line_have_one_built(
    api: ApiProcess, tenant: TenantFixture, postgres_dsn: str
) -> None:
    add_active(postgres_dsn, tenant.tenant_id)
    client = AsyncMuniment(api.url, tenant.api_key)
    made = await client.index_versions.create(SHORT_MODEL_ID, activation="automatic")
    assert (made.state, made.activation) == ("building", "automatic")
    assert (await client.index_versions.list(limit=1)).data == (made,)
    environment = {"MUNIMENT_API__URL": api.url, "MUNIMENT_API__KEY": tenant.api_key}
    for arguments, shown in (
        (["list"], SHORT_MODEL_ID[:20]),
        (["pause", str(made.id)], "paused"),
        (["resume", str(made.id)], "building"),
        (["cancel", str(made.id)], "cancelled"),
        (["create", "--activate"], MODEL_ID),
    ):
        told = CliRunner().invoke(app, ["index-versions", *arguments], env=environment)
        assert (told.exit_code, shown in told.output) == (0, True), (arguments, told.output)
    await client.close()
