"""Which key management is opened by which settings, and what is said of those that cannot work."""

from pathlib import Path
from uuid import uuid4

import pytest

from muniment.errors import ConfigurationError, KeyManagementUnavailable
from muniment.sealing import AwsKms, KeyFile, RemoteKeys, VaultTransit
from muniment.settings import load_settings
from muniment.stores import open_stores
from tests.conftest import free_port


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
