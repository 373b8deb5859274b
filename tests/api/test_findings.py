"""Findings are shown as places; what stands there only to who may see it, through whichever door."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

import httpx
import pytest

from api.finding_policies.schemas import NewFindingPolicy
from db.models import FileVersion, FindingJudgement, FindingPolicy, Job
from db.queries import finding_policies
from db.queries.findings import JudgedFinding, replace_findings
from db.session import Database
from muniment.api_keys import ALL_SCOPES
from muniment.contracts.base import VersionReference
from muniment.contracts.documents import Finding, FindingKind
from muniment.contracts.findings import FindingAct
from muniment.settings import load_settings
from muniment.stores import Stores, open_stores
from retrieval.cited_pages import PageReaders
from tests.api.annotated import publish_pages
from tests.api.conftest import ApiProcess, client_of, start_api, stop_api
from tests.conftest import TenantFixture, make_tenant

FIRST = ["Ana Li is reached at ana@example.org, or", "by card 4111 1111", "1111 1111 alone."]
SECOND = ["Nothing is found on this page."]
TOKEN = "[EMAIL_ADDRESS_AAAABBBBCC]"
CARD = "[CREDIT_CARD_DDDDEEEEFF]"
URL = "/v1/findings"
POLICIES = "/v1/finding-policies"


@dataclass(frozen=True)
class Masked:
    """A published file whose findings are masked, its version, and who may not see them."""

    file_id: str
    version: FileVersion
    reader: httpx.AsyncClient


@pytest.fixture
def stores(api: ApiProcess, monkeypatch: pytest.MonkeyPatch) -> Stores:
    """The stores of the API process, opened a second time as a worker does."""
    monkeypatch.setenv("MUNIMENT_OBJECTS__ROOT", str(api.home / "objects"))
    monkeypatch.setenv("MUNIMENT_KEYS__ROOT", str(api.home / "keys"))
    return open_stores(load_settings())


def judged(text: str, value: str, entity: str, token: str) -> JudgedFinding:
    start = text.index(value)
    finding = Finding(
        kind=FindingKind.PERSONAL_DATA,
        entity=entity,
        page=1,
        start=start,
        end=start + len(value),
        score=1.0,
        recogniser="EmailRecognizer",
        recogniser_version="presidio-analyzer-2.2.364",
        boxes=((50.0, 100.0, 90.0, 112.0),),
    )
    return JudgedFinding(finding, FindingAct.MASK, token)


@pytest.fixture
async def masked(
    api: ApiProcess,
    client: httpx.AsyncClient,
    database: Database,
    tenant: TenantFixture,
    stores: Stores,
    postgres_dsn: str,
) -> AsyncIterator[Masked]:
    made = (await client.post("/v1/files?name=letter.txt", content=b"a letter")).json()
    version = await publish_pages(database, tenant, stores, UUID(made["id"]), [FIRST, SECOND])
    text = "\n".join(FIRST)
    findings = [
        judged(text, "ana@example.org", "EMAIL_ADDRESS", TOKEN),
        judged(text, "4111 1111\n1111 1111", "CREDIT_CARD", CARD),
    ]
    reference = VersionReference(
        tenant_id=tenant.tenant_id,
        file_id=UUID(made["id"]),
        version_id=version.id,
        job_id=UUID(made["job"]["id"]),
    )
    async with database.transaction(tenant.system) as session:
        (await session.get_one(FileVersion, version.id)).is_masked = True
        await replace_findings(session, reference, findings)
    scopes = tuple(scope for scope in ALL_SCOPES if scope != "findings:reveal")
    other = make_tenant(postgres_dsn, tenant.name, principal="clerk", scopes=scopes)
    async with client_of(api, other.api_key) as reader:
        yield Masked(made["id"], version, reader)


async def test_a_finding_says_where_and_what_kind_and_never_what(
    masked: Masked, client: httpx.AsyncClient
) -> None:
    listed = await client.get(URL, params={"file": masked.file_id})
    card, email = listed.json()["data"]
    assert (email["entity"], email["kind"]) == ("EMAIL_ADDRESS", "personal_data")
    assert (email["page"], email["start"], email["end"]) == (1, 21, 36)
    assert (email["boxes"], email["confidence"]) == ([[50.0, 100.0, 90.0, 112.0]], 1.0)
    assert email["recogniser_version"] == "presidio-analyzer-2.2.364"
    assert (email["act"], email["token"], email["version"]) == ("mask", TOKEN, 1)
    assert "ana@" not in listed.text
    assert (await client.get(f"{URL}/{email['id']}")).json() == email
    of_kind = {"entity": "CREDIT_CARD", "act": "mask", "kind": "personal_data", "version": 1}
    for wanted in (of_kind, {"token": CARD}):
        assert (await client.get(URL, params=wanted)).json()["data"] == [card]
    first = (await client.get(URL, params={"limit": 1})).json()
    rest = await client.get(URL, params={"limit": 1, "cursor": first["next_cursor"]})
    assert [first["data"], rest.json()["data"]] == [[card], [email]]
    assert rest.json()["next_cursor"] is None


async def test_what_stands_there_is_shown_to_who_may_see_it_and_that_is_audited(
    masked: Masked, client: httpx.AsyncClient
) -> None:
    email = (await client.get(URL, params={"token": TOKEN})).json()["data"][0]
    shown = await client.get(f"{URL}/{email['id']}/value")
    assert shown.json() == {"value": "ana@example.org"}
    events = (await client.get("/v1/audit", params={"object": email["id"]})).json()["data"]
    assert [event["action"] for event in events] == ["finding.revealed"]
    assert (await masked.reader.get(f"{URL}/{email['id']}")).status_code == 200
    assert (await masked.reader.get(f"{URL}/{email['id']}/value")).status_code == 403


async def test_findings_of_files_that_one_may_not_read_do_not_exist(
    masked: Masked,
    api: ApiProcess,
    tenant: TenantFixture,
    postgres_dsn: str,
    stranger: httpx.AsyncClient,
    client: httpx.AsyncClient,
) -> None:
    email = (await client.get(URL, params={"token": TOKEN})).json()["data"][0]
    private = (
        await client.post("/v1/collections", json={"name": "p", "visibility": "private"})
    ).json()
    moved = await client.patch(f"/v1/files/{masked.file_id}", json={"collection": private["id"]})
    assert moved.status_code == 200, moved.text
    guest = make_tenant(postgres_dsn, tenant.name, principal="guest", is_admin=False)
    async with client_of(api, guest.api_key) as without:
        for caller in (without, stranger):
            assert (await caller.get(URL)).json() == {"data": [], "next_cursor": None}
            assert (await caller.get(URL, params={"file": masked.file_id})).status_code == 404
            for path in (f"{URL}/{email['id']}", f"{URL}/{email['id']}/value"):
                assert (await caller.get(path)).status_code == 404
    await client.delete(f"/v1/files/{masked.file_id}")
    assert (await client.get(URL)).json()["data"] == []


async def test_pages_and_text_show_tokens_to_who_may_not_see_what_they_stand_for(
    masked: Masked, client: httpx.AsyncClient
) -> None:
    path = f"/v1/files/{masked.file_id}"
    page = (await masked.reader.get(f"{path}/pages/1")).json()
    assert page["text"] == f"Ana Li is reached at {TOKEN}, or\nby card {CARD} alone."
    assert [line["text"] for line in page["lines"]] == [
        f"Ana Li is reached at {TOKEN}, or",
        f"by card {CARD}",
        f"{CARD} alone.",
    ]
    assert [line["words"] for line in page["lines"]] == [[], [], []]
    pages = (await masked.reader.get(f"{path}/pages")).json()["data"]
    assert [each["text"] for each in pages] == [page["text"], SECOND[0]]
    text = await masked.reader.get(f"{path}/text")
    assert text.text == f"{page['text']}\n\n{SECOND[0]}\n"
    as_it_is = await client.get(f"{path}/text")
    assert "ana@example.org" in as_it_is.text
    assert as_it_is.headers["ETag"] != text.headers["ETag"]
    assert (await client.get(f"{path}/pages/1")).json()["text"] == "\n".join(FIRST)


async def test_no_other_door_shows_a_masked_version_as_it_is(
    masked: Masked, client: httpx.AsyncClient
) -> None:
    path = f"/v1/files/{masked.file_id}"
    for door in (
        "content",
        "document",
        "markdown",
        "pages/1/image",
        "thumbnail",
        "pages/1?layer=x",
    ):
        refused = await masked.reader.get(f"{path}/{door}")
        assert refused.status_code == 403, door
        assert "findings:reveal" in refused.json()["remedy"]
    openai_id = f"file-{masked.file_id.replace('-', '')}"
    assert (await masked.reader.get(f"/openai/v1/files/{openai_id}/content")).status_code == 403
    archive = {"files": [{"id": masked.file_id}]}
    assert (await masked.reader.post("/v1/files/archive", json=archive)).status_code == 403
    for exact, status in (("ana@example.org", 422), (TOKEN, 201)):
        target = {"page": 1, "quote": {"exact": exact}}
        annotation = {"file_id": masked.file_id, "target": target}
        answer = await client.post("/v1/annotations", json=annotation)
        assert answer.status_code == status, answer.text
    for caller in (masked.reader, client):
        shared = await caller.post("/v1/shares", json={"file_id": masked.file_id})
        assert shared.status_code == 409, shared.text
    assert (await client.get(f"{path}/content")).content == b"a letter"
    compared = f"{path}/versions/1/comparison?with=1"
    assert (await masked.reader.get(compared)).status_code in (403, 422)


async def test_quotes_are_proven_by_what_passages_hold(
    masked: Masked, database: Database, stores: Stores, tenant: TenantFixture
) -> None:
    pages = PageReaders(database, stores.blobs, tenant.access)
    text = await pages.text(UUID(masked.file_id), 1, 1)
    assert text is not None
    assert TOKEN in text
    assert "ana@example.org" not in text


async def test_content_that_was_refused_or_waits_is_kept_from_all_but_who_decides(
    api: ApiProcess,
    client: httpx.AsyncClient,
    database: Database,
    tenant: TenantFixture,
    postgres_dsn: str,
) -> None:
    made = (await client.post("/v1/files?name=new.txt", content=b"held")).json()
    job_id = UUID(made["job"]["id"])
    scopes = tuple(scope for scope in ALL_SCOPES if scope != "quarantine:decide")
    clerk = make_tenant(postgres_dsn, tenant.name, principal="clerk", scopes=scopes)
    async with client_of(api, clerk.api_key) as reader:
        path = f"/v1/files/{made['id']}/content"
        assert (await reader.get(path)).status_code == 200
        async with database.transaction(tenant.system) as session:
            job = await session.get_one(Job, job_id)
            judgement = FindingJudgement(
                job_id=job_id,
                tenant_id=tenant.tenant_id,
                version_id=job.version_id,
                act="review",
                causes=[],
                rules=[],
            )
            session.add(judgement)
        assert (await reader.get(path)).status_code == 409
        assert (await client.get(path)).status_code == 200


async def test_administrators_make_the_tenants_policies_and_managers_those_of_collections(
    api: ApiProcess,
    client: httpx.AsyncClient,
    stranger: httpx.AsyncClient,
    tenant: TenantFixture,
    postgres_dsn: str,
) -> None:
    wanted = {"act": "mask", "entity": "EMAIL_ADDRESS", "minimum_confidence": 0.5}
    made = await client.post(POLICIES, json=wanted)
    assert made.status_code == 201
    assert {**made.json(), **wanted} == made.json()
    assert (await client.get(made.headers["Location"])).json() == made.json()
    guest = make_tenant(postgres_dsn, tenant.name, principal="guest", is_admin=False)
    async with client_of(api, guest.api_key) as own:
        assert (await own.post(POLICIES, json=wanted)).status_code == 403
        assert (await own.delete(f"{POLICIES}/{made.json()['id']}")).status_code == 403
        mine = (
            await own.post("/v1/collections", json={"name": "m", "visibility": "private"})
        ).json()
        of_mine = await own.post(POLICIES, json={**wanted, "collection_id": mine["id"]})
        assert of_mine.status_code == 201
        listed = (await own.get(POLICIES)).json()["data"]
        assert [each["id"] for each in listed] == [of_mine.json()["id"], made.json()["id"]]
        one = (await own.get(POLICIES, params={"collection": mine["id"]})).json()["data"]
        assert one == [of_mine.json()]
        other = make_tenant(postgres_dsn, tenant.name, principal="other", is_admin=False)
        async with client_of(api, other.api_key) as another:
            listed = (await another.get(POLICIES)).json()["data"]
            assert [each["id"] for each in listed] == [made.json()["id"]]
            path = f"{POLICIES}/{of_mine.json()['id']}"
            assert (await another.delete(path)).status_code == 404
            body = {**wanted, "collection_id": mine["id"]}
            assert (await another.post(POLICIES, json=body)).status_code == 404
        assert (await own.delete(f"{POLICIES}/{of_mine.json()['id']}")).status_code == 204
    assert (await stranger.get(POLICIES)).json()["data"] == []
    assert (await stranger.delete(f"{POLICIES}/{made.json()['id']}")).status_code == 404
    assert (await client.delete(f"{POLICIES}/{made.json()['id']}")).status_code == 204
    assert (await client.get(POLICIES)).json()["data"] == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"act": "shred"},
        {"act": "mask", "entity": "email"},
        {"act": "mask", "entity": "A" * 101},
        {"act": "mask", "minimum_confidence": 1.5},
        {"act": "mask", "minimum_confidence": float("nan")},
        {"act": "mask", "kind": "hearsay"},
        {"act": "mask", "collection_id": "c"},
        {"act": "mask", "more": 1},
    ],
)
async def test_a_policy_that_says_nothing_sensible_is_refused(
    client: httpx.AsyncClient, body: dict[str, object]
) -> None:
    sent = json.dumps(body)
    answer = await client.post(POLICIES, content=sent, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422), answer.text


async def test_a_tenant_has_a_bounded_number_of_policies(
    client: httpx.AsyncClient, database: Database, tenant: TenantFixture
) -> None:
    async with database.transaction(tenant.system) as session:
        session.add_all(
            FindingPolicy(tenant_id=tenant.tenant_id, act="record", created_by=tenant.principal_id)
            for _ in range(finding_policies.MAX_POLICIES)
        )
    answer = await client.post(POLICIES, json=NewFindingPolicy(act=FindingAct.MASK).model_dump())
    assert answer.status_code == 409


async def test_policies_mask_only_where_the_operator_lets_them(
    api: ApiProcess, api_environment: dict[str, str], tenant: TenantFixture
) -> None:
    usual = {
        name: value for name, value in api_environment.items() if "FINDINGS__MASKING" not in name
    }
    other = start_api(api.home, usual)
    try:
        async with client_of(other, tenant.api_key) as client:
            refused = await client.post(POLICIES, json={"act": "mask"})
            assert refused.status_code == 422
            assert refused.json()["errors"][0]["field"] == "act"
            assert (await client.post(POLICIES, json={"act": "refuse"})).status_code == 201
    finally:
        stop_api(other)
