"""A key that was made with another one ends with it."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.api.conftest import ApiProcess, client_of

SCOPES = ["keys:manage"]


async def make(client: httpx.AsyncClient, expires_at: datetime | None) -> dict[str, str]:
    body = {"name": "job", "scopes": SCOPES}
    if expires_at is not None:
        body["expires_at"] = expires_at.isoformat()
    answer = await client.post("/v1/api-keys", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, str] = answer.json()
    return made


@pytest.mark.parametrize(
    ("hours", "granted"), [(None, 2), (3, 2), (1, 1)], ids=["never", "later", "earlier"]
)
async def test_a_key_ends_with_the_key_that_made_it(
    api: ApiProcess, client: httpx.AsyncClient, hours: int | None, granted: int
) -> None:
    began = datetime.now(UTC)
    maker = await make(client, began + timedelta(hours=2))
    async with client_of(api, maker["secret"]) as making:
        made = await make(making, None if hours is None else began + timedelta(hours=hours))
    assert datetime.fromisoformat(made["expires_at"]) == began + timedelta(hours=granted)


async def test_a_key_of_a_key_without_an_end_has_none_either(client: httpx.AsyncClient) -> None:
    assert (await make(client, None))["expires_at"] is None
