"""Download: ranges, conditions, hostile names."""

import hashlib
import os
import re
from urllib.parse import unquote

import httpx
import pytest

from api.files.disposition import attachment
from api.files.ranges import ByteRange, Unsatisfiable, parse_range
from tests.api.conftest import audit_actions
from tests.conftest import TenantFixture

CONTENT = os.urandom(200_000)
TAG = f'"{hashlib.sha256(CONTENT).hexdigest()}"'


@pytest.fixture
async def path(client: httpx.AsyncClient) -> str:
    answer = await client.post("/v1/files?name=a.bin", content=CONTENT)
    return f"/v1/files/{answer.json()['id']}/content"


async def test_the_whole_content_comes_with_its_headers(
    client: httpx.AsyncClient, path: str
) -> None:
    answer = await client.get(path)
    assert answer.content == CONTENT
    assert answer.headers["ETag"] == TAG
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Disposition"].startswith("attachment; ")
    assert answer.headers["Content-Length"] == str(len(CONTENT))


async def test_head_says_the_same_without_the_bytes(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.head(path)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Content-Length"] == str(len(CONTENT))
    assert answer.headers["ETag"] == TAG


@pytest.mark.parametrize("header", ["bytes=0-9", "bytes=0-0,5-9", "bytes=999999-"])
async def test_head_knows_no_ranges(client: httpx.AsyncClient, path: str, header: str) -> None:
    answer = await client.head(path, headers={"Range": header})
    assert (answer.status_code, answer.headers["Content-Length"]) == (200, str(len(CONTENT)))


async def test_what_did_not_leave_is_not_audited(
    client: httpx.AsyncClient, path: str, tenant: TenantFixture, postgres_dsn: str
) -> None:
    async def asked(**headers: str) -> tuple[int, int]:
        """The status, and how many downloads were audited by then."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await client.get(path, headers=names)
        actions = audit_actions(postgres_dsn, tenant.tenant_id)
        return answer.status_code, actions.count("file.downloaded")

    assert await asked(If_None_Match=TAG) == (304, 0)
    assert await asked(If_Match='"x"') == (412, 0)
    assert await asked(Range="bytes=999999-") == (416, 0)
    assert await asked(Range="bytes=0-9") == (206, 1)
    assert await asked(If_None_Match='"x"') == (200, 2)


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=65535-65536", 65535, 65537),  # over the border of a sealed segment
        ("bytes=199999-", 199_999, 200_000),
        ("bytes=-5", 199_995, 200_000),
        ("bytes=100-999999999", 100, 200_000),
    ],
)
async def test_a_range_is_206(
    client: httpx.AsyncClient, path: str, header: str, start: int, end: int
) -> None:
    answer = await client.get(path, headers={"Range": header})
    assert answer.status_code == 206
    assert answer.content == CONTENT[start:end]
    assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/200000"


async def test_several_ranges_come_as_parts(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path, headers={"Range": "bytes=0-9,70000-70009,-3"})
    assert answer.status_code == 206
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    boundary = answer.headers["Content-Type"].split("boundary=")[1]
    parts = answer.content.split(f"\r\n--{boundary}".encode())[1:-1]
    bodies = [part.split(b"\r\n\r\n", 1)[1] for part in parts]
    assert bodies == [CONTENT[:10], CONTENT[70000:70010], CONTENT[-3:]]
    assert b"Content-Range: bytes 70000-70009/200000" in parts[1]


@pytest.mark.parametrize("header", ["bytes=200000-", "bytes=-0", "bytes=" + "0-0," * 8 + "1-1"])
async def test_what_cannot_be_served_is_416_with_the_size(
    client: httpx.AsyncClient, path: str, header: str
) -> None:
    answer = await client.get(path, headers={"Range": header})
    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == "bytes */200000"
    assert answer.json()["type"] == "urn:muniment:problem:range-not-satisfiable"


@pytest.mark.parametrize("header", ["items=0-1", "bytes=5-1", "bytes=a-b", "bytes="])
async def test_a_malformed_range_is_ignored(
    client: httpx.AsyncClient, path: str, header: str
) -> None:
    answer = await client.get(path, headers={"Range": header})
    assert (answer.status_code, answer.content) == (200, CONTENT)


async def test_conditions(client: httpx.AsyncClient, path: str) -> None:
    known = await client.get(path, headers={"If-None-Match": f'"x", W/{TAG}'})
    assert (known.status_code, known.content) == (304, b"")
    assert known.headers["ETag"] == TAG
    assert (await client.get(path, headers={"If-Match": '"x"'})).status_code == 412
    assert (await client.get(path, headers={"If-Match": TAG})).status_code == 200
    same = await client.get(path, headers={"Range": "bytes=0-1", "If-Range": TAG})
    assert same.status_code == 206
    other = await client.get(path, headers={"Range": "bytes=0-1", "If-Range": '"x"'})
    assert (other.status_code, other.content) == (200, CONTENT)
    weak = await client.get(path, headers={"Range": "bytes=0-1", "If-Range": f"W/{TAG}"})
    assert weak.status_code == 200


@pytest.mark.parametrize(
    "name",
    [
        'a"b.pdf',
        "x\r\nSet-Cookie: a=b",
        "../../etc/passwd",
        "résumé – 日本.pdf",
        "\u202egpj.exe",
        "%41;filename=x",
        "...",
        "n" * 1000,
    ],
)
async def test_hostile_names_stay_within_their_header(client: httpx.AsyncClient, name: str) -> None:
    made = await client.post("/v1/files", content=b"x", params={"name": name})
    assert made.status_code == 202, made.text
    assert made.json()["name"] == name
    answer = await client.get(f"/v1/files/{made.json()['id']}/content")
    assert "set-cookie" not in answer.headers
    disposition = answer.headers["Content-Disposition"]
    match = re.fullmatch(
        r"attachment; filename=\"([^\"\\/%;]+)\"; filename\*=UTF-8''([A-Za-z0-9!#$&+.^_`|~%-]+)",
        disposition,
    )
    assert match, disposition
    whole = unquote(match[2])
    assert not set(whole) & set("/\\\r\n\u202e")


def test_a_long_name_keeps_its_suffix() -> None:
    disposition = attachment("n" * 1000 + ".pdf")
    assert disposition.endswith("''" + "n" * 196 + ".pdf")
    assert attachment("." + "n" * 1000).endswith("''" + "n" * 200)


async def test_the_type_is_as_it_was_declared_without_an_encoding_made_up(
    client: httpx.AsyncClient,
) -> None:
    headers = {"Content-Type": "text/plain; charset=latin-1"}
    made = await client.post("/v1/files?name=a.txt", content=b"\xe9", headers=headers)
    answer = await client.get(f"/v1/files/{made.json()['id']}/content")
    assert answer.headers["Content-Type"] == "text/plain"


def test_a_plain_name_is_kept_as_it_is() -> None:
    assert attachment("report 1.pdf") == (
        "attachment; filename=\"report 1.pdf\"; filename*=UTF-8''report%201.pdf"
    )


def test_no_range_of_an_empty_content_can_be_satisfied() -> None:
    assert parse_range(None, 0) is None
    with pytest.raises(Unsatisfiable):
        parse_range("bytes=0-", 0)
    assert parse_range("bytes=0-1,5-6", 4) == [ByteRange(0, 2)]
