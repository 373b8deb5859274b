"""`If-Match` on what is changed of principals, groups and grants: to what was read, or not at all."""

from dataclasses import dataclass

import httpx
import pytest

from tests.muniment.client.described_api import DESCRIPTION

PASSWORD = {"password": "correct horse battery"}


@dataclass(frozen=True)
class Place:
    """A person in a group, who was granted a file."""

    principal: str
    group: str
    grant: str

    @property
    def member(self) -> str:
        return f"{self.group}/members/{self.principal.rpartition('/')[2]}"


@pytest.fixture
async def place(client: httpx.AsyncClient) -> Place:
    person = (await client.post("/v1/principals", json={"kind": "user", "name": "ada"})).json()
    group = (await client.post("/v1/groups", json={"name": "accounting"})).json()
    file = (await client.post("/v1/files?name=a.txt", content=b"a")).json()
    grant = await client.post(
        "/v1/grants", json={"principal_id": person["id"], "file_id": file["id"], "level": "read"}
    )
    return Place(
        f"/v1/principals/{person['id']}",
        f"/v1/groups/{group['id']}",
        f"/v1/grants/{grant.json()['id']}",
    )


CHANGES = [
    ("PUT", "member", "group", "", None),
    ("DELETE", "member", "group", "", None),
    ("PUT", "principal", "principal", "/password", PASSWORD),
    ("PATCH", "principal", "principal", "", {"disabled": False}),
    ("PATCH", "group", "group", "", {"name": "tax"}),
    ("DELETE", "grant", "grant", "", None),
    ("DELETE", "group", "group", "", None),
    ("DELETE", "principal", "principal", "", None),
]


async def test_every_change_is_made_to_what_was_read_or_not_at_all(
    client: httpx.AsyncClient, place: Place
) -> None:
    for method, what, tagged, below, body in CHANGES:
        path = getattr(place, what) + below
        tag = (await client.get(getattr(place, tagged))).headers["ETag"]
        for stale in ('"0"', f"W/{tag}", f'"x", "{tag}"'):
            late = await client.request(method, path, json=body, headers={"If-Match": stale})
            assert late.status_code == 412, (method, path, stale, late.text)
            assert late.json()["type"] == "urn:muniment:problem:precondition-failed"
        done = await client.request(method, path, json=body, headers={"If-Match": f'"0", {tag}'})
        assert done.is_success, (method, path, done.text)


def test_whatever_refuses_a_stale_tag_takes_one() -> None:
    """Uploads are of another protocol, whose 412 is about its version."""
    for path, item in DESCRIPTION["paths"].items():
        for method in {"put", "patch", "delete"} & set(item):
            headers = {each["name"] for each in item[method].get("parameters", ())}
            refuses = "412" in item[method]["responses"]
            if path.startswith(("/v1/principals", "/v1/groups", "/v1/grants")):
                assert refuses, (method, path)
            if not path.startswith("/v1/uploads"):
                assert refuses is ("If-Match" in headers), (method, path)


def test_whatever_changes_something_may_find_no_room() -> None:
    for path, item in DESCRIPTION["paths"].items():
        for method in {"post", "put", "patch", "delete"} & set(item):
            assert "507" in item[method]["responses"], (method, path)


async def test_what_was_just_made_has_its_tag(client: httpx.AsyncClient) -> None:
    for path, body in (
        ("/v1/principals", {"kind": "user", "name": "ada"}),
        ("/v1/groups", {"name": "accounting"}),
        ("/v1/collections", {"name": "law"}),
    ):
        headers = {"Idempotency-Key": path}
        made = await client.post(path, json=body, headers=headers)
        again = await client.post(path, json=body, headers=headers)
        shown = await client.get(made.headers["Location"])
        assert made.headers["ETag"] == again.headers["ETag"] == shown.headers["ETag"]
    grant = {
        "principal_id": (await client.get("/v1/principals?name=ada")).json()["data"][0]["id"],
        "collection_id": shown.json()["id"],
    }
    for level in ("read", "write"):
        given = await client.post("/v1/grants", json={**grant, "level": level})
        shown = await client.get(given.headers["Location"])
        assert given.headers["ETag"] == shown.headers["ETag"] == f'"{level}"'


async def test_of_two_who_set_a_password_the_second_finds_out(
    client: httpx.AsyncClient, place: Place
) -> None:
    read = {"If-Match": (await client.get(place.principal)).headers["ETag"]}
    path = f"{place.principal}/password"
    assert (await client.put(path, json=PASSWORD, headers=read)).status_code == 204
    assert (await client.put(path, json=PASSWORD, headers=read)).status_code == 412


async def test_a_grant_that_was_raised_meanwhile_is_not_taken_back(
    client: httpx.AsyncClient, place: Place
) -> None:
    shown = await client.get(place.grant)
    again = {**shown.json(), "level": "manage"}
    raised = {name: again[name] for name in ("principal_id", "file_id", "level")}
    assert (await client.post("/v1/grants", json=raised)).status_code == 200
    stale = {"If-Match": shown.headers["ETag"]}
    assert (await client.delete(place.grant, headers=stale)).status_code == 412
    assert (await client.get(place.grant)).json()["level"] == "manage"
    assert (await client.delete(place.grant, headers={"If-Match": "*"})).status_code == 204


async def test_another_tenants_is_404_whatever_the_tag(
    stranger: httpx.AsyncClient, client: httpx.AsyncClient, place: Place
) -> None:
    for path in (place.principal, place.group, place.grant):
        tag = (await client.get(path)).headers["ETag"]
        for sent in (tag, '"0"'):
            answer = await stranger.delete(path, headers={"If-Match": sent})
            assert answer.status_code == 404, (path, sent)
