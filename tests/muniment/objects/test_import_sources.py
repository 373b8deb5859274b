"""Sources of imports, a folder and a real S3 server: what they list, hand out, and do not let out."""

import os
from collections.abc import AsyncIterator, Iterator
from io import BytesIO
from pathlib import Path
from uuid import uuid4

import pytest

from muniment.errors import (
    ConfigurationError,
    Forbidden,
    InvalidRequest,
    ObjectMissing,
    SourceUnavailable,
)
from muniment.objects import S3Limits, connect_s3
from muniment.objects.importing import (
    FolderImportSource,
    ImportSource,
    S3ImportSource,
    is_usable_key,
)
from muniment.settings import load_settings
from tests.conformance.s3_server import S3Server, serving_s3

KEYS = ("a.txt", "b/c.txt", "b/d/e.txt", "b-side.txt", "ä ö.txt")
LEADING_OUT = (
    "../secret",
    "b/../../secret",
    "/etc/passwd",
    "b//c.txt",
    "./a.txt",
    "b/..",
    "a\0",
    "",
)


async def keys_of(source: ImportSource, prefix: str = "", after: str | None = None) -> list[str]:
    return [found.key async for page in source.list(prefix, after) for found in page]


async def content_of(source: ImportSource, key: str) -> bytes:
    return b"".join([chunk async for chunk in source.read(key)])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with serving_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(params=["folder", "s3"])
async def source(
    request: pytest.FixtureRequest, server: S3Server, tmp_path: Path
) -> AsyncIterator[ImportSource]:
    """`KEYS`, each holding its name; beside it a secret that is not the source's."""
    if request.param == "folder":
        root = tmp_path / "root"
        for key in KEYS:
            (root / key).parent.mkdir(parents=True, exist_ok=True)
            (root / key).write_text(key)
        (tmp_path / "secret").write_text("secret")
        yield FolderImportSource(root)
        return
    client = connect_s3(server.endpoint, server.access_key, server.secret_key, secure=False)
    bucket = f"bucket-{uuid4().hex}"
    client.make_bucket(bucket)
    for key in (*(f"root/{key}" for key in KEYS), "secret"):
        content = key.removeprefix("root/").encode()
        client.put_object(bucket, key, BytesIO(content), len(content))
    yield S3ImportSource(client, bucket, "root/")
    client._http.clear()


async def test_what_is_listed_is_read(source: ImportSource) -> None:
    await source.probe()
    keys = await keys_of(source)
    assert sorted(keys) == sorted(KEYS)
    assert [await content_of(source, key) for key in keys] == [key.encode() for key in keys]


async def test_a_prefix_may_end_anywhere(source: ImportSource) -> None:
    assert sorted(await keys_of(source, "b")) == ["b-side.txt", "b/c.txt", "b/d/e.txt"]
    assert sorted(await keys_of(source, "b/")) == ["b/c.txt", "b/d/e.txt"]
    assert await keys_of(source, "b/d/e") == ["b/d/e.txt"]
    assert await keys_of(source, "absent/") == await keys_of(source, "a.txt/") == []


async def test_a_listing_goes_on_after_any_object(source: ImportSource) -> None:
    keys = await keys_of(source)
    for place, key in enumerate(keys):
        assert await keys_of(source, after=key) == keys[place + 1 :]


@pytest.mark.parametrize("key", LEADING_OUT)
async def test_a_key_that_leads_out_is_refused(source: ImportSource, key: str) -> None:
    assert not is_usable_key(key)
    with pytest.raises(InvalidRequest):
        await content_of(source, key)


async def test_what_is_gone_is_missing(source: ImportSource) -> None:
    for key in ("gone.txt", "b", "b/d", "a.txt/x"):
        with pytest.raises(ObjectMissing):
            await content_of(source, key)


async def test_links_and_devices_lead_nowhere(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    for folder in (root / "real", outside):
        folder.mkdir(parents=True)
        (folder / "file.txt").write_text("words")
    (root / "link.txt").symlink_to(outside / "file.txt")
    (root / "folder").symlink_to(outside)
    os.mkfifo(root / "pipe")
    source = FolderImportSource(root)
    assert await keys_of(source) == ["real/file.txt"]
    assert await keys_of(source, "folder/") == []
    for key in ("link.txt", "folder/file.txt", "pipe"):
        with pytest.raises(ObjectMissing):
            await content_of(source, key)
    # Swapped between the listing and the reading.
    (root / "real" / "file.txt").unlink()
    (root / "real").rmdir()
    (root / "real").symlink_to(outside)
    with pytest.raises(ObjectMissing):
        await content_of(source, "real/file.txt")


async def test_names_that_are_no_text_and_depths_without_end_are_told_of(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.txt")).write_text("words")
    deep = tmp_path
    for _ in range(80):
        deep /= "d"
    deep.mkdir(parents=True)
    (deep / "file.txt").write_text("words")
    name, below = await keys_of(FolderImportSource(tmp_path))
    assert name == "\N{REPLACEMENT CHARACTER}.txt"
    assert below.endswith("/d/")
    assert not is_usable_key(below)


async def test_a_source_that_is_away_is_told_from_one_that_refuses(
    server: S3Server, tmp_path: Path
) -> None:
    with pytest.raises(SourceUnavailable):
        await keys_of(FolderImportSource(tmp_path / "unmounted"))
    impatient = S3Limits(connect_timeout_seconds=0.3, read_timeout_seconds=0.3, retries=0)
    nobody = connect_s3("127.0.0.1:9", "key", "secret", secure=False, limits=impatient)
    with pytest.raises(SourceUnavailable):
        await keys_of(S3ImportSource(nobody, "bucket"))
    forger = connect_s3(server.endpoint, server.access_key, "wrong", secure=False)
    owner = connect_s3(server.endpoint, server.access_key, server.secret_key, secure=False)
    for client, bucket in ((forger, "bucket"), (owner, "absent")):
        with pytest.raises(Forbidden):
            await keys_of(S3ImportSource(client, bucket))
        client._http.clear()


@pytest.mark.parametrize(
    "sources",
    [
        "not json, with a secret",
        '[{"name": "a", "tenants": ["*"]}]',
        '[{"name": "a", "tenants": [], "folder": "/a"}]',
        '[{"name": "a", "tenants": ["*"], "folder": "relative"}]',
        '[{"name": "a", "tenants": ["*"], "folder": "/a", "bucket": "b"}]',
        '[{"name": "a", "tenants": ["*"], "endpoint": "e", "bucket": "b", "access_key": "secret"}]',
        '[{"name": "a", "tenants": ["*"], "folder": "/a"}, {"name": "a", "tenants": ["*"], "folder": "/b"}]',
    ],
)
def test_sources_that_cannot_work_are_refused_without_their_secrets(
    sources: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUNIMENT_IMPORTS__SOURCES", sources)
    with pytest.raises(ConfigurationError, match="MUNIMENT_IMPORTS__SOURCES") as raised:
        load_settings()
    assert "secret" not in str(raised.value)
