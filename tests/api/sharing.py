"""Files that may be shared, links to them, and visitors who have nothing but the link."""

from dataclasses import dataclass

import httpx
import psycopg

from tests.api.conftest import ApiProcess

CONTENT = bytes(range(256)) * 1_000
"""Several sealed segments."""


@dataclass(frozen=True)
class Link:
    """A share as it was made; `path` is where the API serves it."""

    id: str
    url: str

    @property
    def token(self) -> str:
        return self.url.rsplit("/", 1)[1]

    @property
    def path(self) -> str:
        return f"/s/{self.token}"

    @property
    def content(self) -> str:
        return f"{self.path}/content"


async def clean_file(
    client: httpx.AsyncClient,
    postgres_dsn: str,
    name: str = "report.pdf",
    content: bytes = CONTENT,
) -> str:
    """The id of a file that the scanner found clean, as far as anybody can tell."""
    answer = await client.post("/v1/files", content=content, params={"name": name})
    assert answer.is_success, answer.text
    file_id = str(answer.json()["id"])
    scanned(postgres_dsn, file_id, "clean")
    return file_id


def scanned(postgres_dsn: str, file_id: str, state: str | None) -> None:
    change(
        postgres_dsn,
        "UPDATE file_version SET scan_state = %s, scanned_at = now(),"
        " media_type = 'application/pdf'"
        " WHERE file_id = %s",
        state,
        file_id,
    )


def change(postgres_dsn: str, statement: str, *values: object) -> None:
    """As if it had come about by itself."""
    with psycopg.connect(postgres_dsn) as connection:
        done = connection.execute(statement.encode(), values)
    assert done.rowcount > 0


async def share(client: httpx.AsyncClient, file_id: str, **fields: object) -> Link:
    answer = await client.post("/v1/shares", json={"file_id": file_id, **fields})
    assert answer.status_code == 201, answer.text
    return Link(answer.json()["id"], answer.json()["url"])


async def downloads_of(client: httpx.AsyncClient, link: Link) -> int:
    answer = await client.get(f"/v1/shares/{link.id}")
    return int(answer.json()["downloads"])


def visitor(api: ApiProcess, **headers: str) -> httpx.AsyncClient:
    """Keeps cookies as a browser does, and has no key."""
    return httpx.AsyncClient(base_url=api.url, headers=headers, timeout=60, trust_env=False)
