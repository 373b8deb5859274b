"""S3 over https with an authority of the operator's own."""

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from muniment.errors import ConfigurationError, ObjectStoreUnavailable, SourceUnavailable
from muniment.settings import ImportSettings, KeySettings, ObjectSettings, Settings
from muniment.stores import open_import_sources, open_stores
from tests.certificates import Authority
from tests.conformance.s3_server import S3Server, serving_s3

BUCKET = "documents"


def settings(server: S3Server, authority: Authority | None, home: Path) -> Settings:
    place = {
        "endpoint": server.endpoint,
        "bucket": BUCKET,
        "access_key": server.access_key,
        "secret_key": server.secret_key,
        "ca_file": authority.file if authority else None,
    }
    return Settings(
        objects=ObjectSettings.model_validate({"backend": "s3", **place}),
        imports=ImportSettings.model_validate(
            {"sources": [{"name": "source", "tenants": ["*"], **place}]}
        ),
        keys=KeySettings(root=home / "keys"),
    )


async def use(chosen: Settings) -> None:
    blobs = open_stores(chosen).blobs
    await blobs.probe()


async def list_source(chosen: Settings) -> list[str]:
    source = open_import_sources(chosen)["source"]
    try:
        return [each.key async for page in source.list("", None) for each in page]
    finally:
        await source.close()


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def test_the_store_and_a_source_are_used_over_https(
    authority: Authority, tmp_path: Path
) -> None:
    with serving_s3(tmp_path / "s3", authority.issue("127.0.0.1")) as server:
        (server.folder / BUCKET).mkdir()
        (server.folder / BUCKET / "letter.txt").write_text("a letter")
        chosen = settings(server, authority, tmp_path)
        await use(chosen)
        assert "letter.txt" in await list_source(chosen)


@pytest.mark.parametrize(
    ("fault", "told"),
    [("authority", "authority is another"), ("name", "another name"), ("expired", "expired")],
)
async def test_a_wrong_certificate_is_refused_and_the_remedy_named(
    fault: str, told: str, authority: Authority, stranger: Authority, tmp_path: Path
) -> None:
    name = "elsewhere.test" if fault == "name" else "127.0.0.1"
    lives = timedelta(days=-1) if fault == "expired" else timedelta(days=30)
    identity = (stranger if fault == "authority" else authority).issue(name, lives=lives)
    remedies = {"authority": "CA_FILE", "name": "ENDPOINT", "expired": "Renew"}
    with serving_s3(tmp_path / "s3", identity) as server:
        (server.folder / BUCKET).mkdir()
        chosen = settings(server, authority, tmp_path)
        with pytest.raises(ObjectStoreUnavailable, match=told) as refused:
            await use(chosen)
        assert remedies[fault] in refused.value.remedy
        with pytest.raises(SourceUnavailable, match=told):
            await list_source(chosen)
        with suppress(ObjectStoreUnavailable):
            await open_stores(chosen).blobs.probe()
        assert not list((server.folder / BUCKET).rglob("*"))


async def test_without_an_authority_of_its_own_only_public_ones_are_trusted(
    authority: Authority, tmp_path: Path
) -> None:
    with (
        serving_s3(tmp_path / "s3", authority.issue("127.0.0.1")) as server,
        pytest.raises(ObjectStoreUnavailable, match="authority is another"),
    ):
        await use(settings(server, None, tmp_path))


async def test_http_is_not_taken_for_https(authority: Authority, tmp_path: Path) -> None:
    with (
        serving_s3(tmp_path / "s3") as server,
        pytest.raises(ObjectStoreUnavailable, match="does not speak TLS"),
    ):
        await use(settings(server, authority, tmp_path))


def test_an_authority_is_not_passed_over_by_http(authority: Authority, tmp_path: Path) -> None:
    place = {
        "endpoint": "s",
        "bucket": BUCKET,
        "access_key": "a",
        "secret_key": "b",
        "ca_file": authority.file,
        "secure": False,
    }
    store = ObjectSettings.model_validate({"backend": "s3", **place})
    sources = {"sources": [{"name": "source", "tenants": ["*"], **place}]}
    with pytest.raises(
        ConfigurationError, match=r"MUNIMENT_OBJECTS__CA_FILE .* is set, and `secure`"
    ):
        open_stores(Settings(objects=store, keys=KeySettings(root=tmp_path)))
    with pytest.raises(ConfigurationError, match="`ca_file` in MUNIMENT_IMPORTS__SOURCES is set"):
        open_import_sources(Settings(imports=ImportSettings.model_validate(sources)))


def test_a_file_that_holds_no_authority_is_told_by_its_setting(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("nothing")
    for file in (garbage, tmp_path / "absent.pem"):
        objects = ObjectSettings.model_validate(
            {
                "backend": "s3",
                "endpoint": "s",
                "access_key": "a",
                "secret_key": "b",
                "ca_file": file,
            }
        )
        with pytest.raises(ConfigurationError, match="MUNIMENT_OBJECTS__CA_FILE"):
            open_stores(Settings(objects=objects))
