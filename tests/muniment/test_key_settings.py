"""Which key management is opened by which settings, and what is said of those that cannot work."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path
from uuid import uuid4

import pytest

from muniment.errors import ConfigurationError, KeyManagementUnavailable
from muniment.sealing import AwsKms, KeyFile, RemoteKeys, TenantRecords, VaultTransit
from muniment.sealing.tenant_records import TenantRecord
from muniment.settings import load_settings
from muniment.stores import open_stores
from tests.conftest import REPOSITORY, free_port
from tests.patience import on_a_busy_machine


def set_keys(monkeypatch: pytest.MonkeyPatch, **settings: object) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(f"MUNIMENT_KEYS__{name.upper()}", str(value))


async def test_without_settings_keys_lie_in_the_file() -> None:
    assert isinstance(open_stores(load_settings()).keys, KeyFile)


async def test_a_provider_is_what_opens_keys(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    set_keys(monkeypatch, root=tmp_path, provider="vault", address="https://vault:8200", token="t")
    vault = open_stores(load_settings()).keys
    assert isinstance(vault, RemoteKeys)
    assert isinstance(vault._service, VaultTransit)
    set_keys(monkeypatch, provider="aws", region="eu-west-2")
    aws = open_stores(load_settings()).keys
    assert isinstance(aws, RemoteKeys)
    assert isinstance(aws._service, AwsKms)
    await aws.close()


@pytest.mark.parametrize(
    "wrong",
    [
        {"provider": "vault"},
        {"provider": "vault", "address": "https://vault:8200"},
        {"provider": "vault", "address": "http://vault:8200", "token": "t"},
        {"provider": "vault", "address": "https://me:secret@vault:8200", "token": "t"},
        {"provider": "aws", "region": "eu-west-2", "address": "http://10.0.0.7:8080"},
        {"retire_after_hours": 0},
        {"provider": "vault", "address": "vault:8200", "token": "t"},
        {"provider": "aws"},
        {"provider": "aws", "region": "eu-west-2", "access_key": "a"},
        {"provider": "drawer"},
        {"timeout_seconds": 0},
        {"mount": "../sys"},
        {"former": '[{"provider": "file"}]'},
        {"former": '[{"provider": "vault"}]'},
        {"former": '[{"provider": "aws", "region": "a"}, {"provider": "aws", "region": "b"}]'},
        {"former": '[{"provider": "aws", "region": "eu-west-2", "root": "/elsewhere"}]'},
    ],
)
def test_settings_that_cannot_work_are_refused(
    monkeypatch: pytest.MonkeyPatch, wrong: dict[str, object]
) -> None:
    set_keys(monkeypatch, **wrong)
    with pytest.raises(ConfigurationError, match="MUNIMENT_KEYS"):
        load_settings()


async def test_a_token_file_that_is_absent_is_told_and_read_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    set_keys(
        monkeypatch,
        root=tmp_path / "keys",
        provider="vault",
        address=f"http://127.0.0.1:{free_port()}",
        token_file=tmp_path / "token",
    )
    keys = open_stores(load_settings()).keys
    with pytest.raises(KeyManagementUnavailable, match="file with Vault's token"):
        await keys.generate_data_key(uuid4(), b"context")
    (tmp_path / "token").write_text("a-token")
    with pytest.raises(KeyManagementUnavailable, match="does not answer"):
        await keys.generate_data_key(uuid4(), b"context")
    await keys.close()


FORMER_FILE = '[{"provider": "file"}]'


async def test_a_provider_that_still_holds_keys_cannot_be_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tenant = uuid4()
    set_keys(monkeypatch, root=tmp_path)
    await open_stores(load_settings()).keys.generate_data_key(tenant, b"context")
    set_keys(monkeypatch, provider="vault", address="https://vault:8200", token="t")
    with pytest.raises(ConfigurationError, match="1 tenants are still with `file`") as refused:
        open_stores(load_settings())
    assert "MUNIMENT_KEYS__FORMER" in (refused.value.remedy or "")
    set_keys(monkeypatch, former=FORMER_FILE)
    changing = open_stores(load_settings()).changing
    assert changing is not None
    assert await changing.unfinished() == {"file": {tenant}}
    (tmp_path / "tenants" / "aws").mkdir(parents=True)
    (tmp_path / "tenants" / "aws" / "notes.json").write_text("no record")
    file = KeyFile(tmp_path / "tenants.json")
    await file.leave(tenant)
    assert await changing.unfinished() == {"file": {tenant}}
    await file.move_away(tenant)
    monkeypatch.delenv("MUNIMENT_KEYS__FORMER")
    assert open_stores(load_settings()).changing is None


async def test_whose_keys_were_destroyed_is_not_forgotten_with_the_provider(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tenant = uuid4()
    await KeyFile(tmp_path / "tenants.json").destroy_tenant_key(tenant)
    set_keys(monkeypatch, root=tmp_path, provider="aws", region="eu-west-2")
    with pytest.raises(ConfigurationError, match="still with `file`"):
        open_stores(load_settings())
    TenantRecords(tmp_path / "tenants" / "aws")._change(
        tenant, lambda _: TenantRecord(newest_version=1, dedup_key=None)
    )
    aws = open_stores(load_settings()).keys
    await aws.close()


def test_records_of_before_are_not_overlooked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "tenants").mkdir()
    (tmp_path / "tenants" / f"{uuid4()}.json").write_text("{}")
    set_keys(monkeypatch, root=tmp_path)
    with pytest.raises(ConfigurationError, match="before providers could be changed"):
        open_stores(load_settings())


@pytest.mark.parametrize(
    ("program", "code"), [(("api",), 2), (("worker", "--queues", "muniment"), 1)]
)
async def test_processes_that_lack_the_former_provider_end_at_once_with_the_remedy(
    program: tuple[str, ...], code: int, tmp_path: Path
) -> None:
    await KeyFile(tmp_path / "tenants.json").generate_data_key(uuid4(), b"context")
    environment = {
        **os.environ,
        "MUNIMENT_DATABASE__URL": "postgresql:///muniment?host=/run/postgresql",
        "MUNIMENT_API__PORT": str(free_port()),
        "MUNIMENT_KEYS__ROOT": str(tmp_path),
        "MUNIMENT_KEYS__PROVIDER": "aws",
        "MUNIMENT_KEYS__REGION": "eu-west-2",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *program),
        env=environment,
        cwd=REPOSITORY,
        stdout=PIPE,
        stderr=STDOUT,
    )
    async with asyncio.timeout(on_a_busy_machine(60)):
        told = (await process.communicate())[0].decode()
    assert process.returncode == code, told
    assert "Name `file` in MUNIMENT_KEYS__FORMER" in told
