"""`/readyz` says how far a change of the provider of keys has come, and to nobody whose keys they are."""

from pathlib import Path
from uuid import uuid4

import pytest

from api.health.checks import Fine
from api.health.keys import KeysCheck
from muniment.errors import KeyManagementUnavailable
from muniment.sealing import (
    ChangingKeys,
    KeyFile,
    RemoteKeys,
    TenantRecords,
    VaultAccess,
    VaultTransit,
)
from muniment.sealing.changing_keys import LOOKED_SECONDS
from muniment.sealing.tenant_records import TenantRecord
from tests.conformance.key_services import VAULT_TOKEN, serving_vault
from tests.conftest import free_port


def former_vault(url: str, folder: Path) -> RemoteKeys:
    access = VaultAccess(url, lambda: VAULT_TOKEN, timeout_seconds=5)
    return RemoteKeys(VaultTransit(access), TenantRecords(folder))


async def test_a_former_provider_is_named_until_it_may_go(tmp_path: Path) -> None:
    tenant = uuid4()
    file = KeyFile(tmp_path / "tenants.json")
    assert await KeysCheck(file).probe() is None
    with serving_vault(tmp_path) as vault:
        former = former_vault(vault.url, tmp_path / "vault")
        await former.newest_version(tenant)
        keys = ChangingKeys(file, {"vault": former})
        found = await KeysCheck(keys).probe()
        assert found == Fine("file wraps; some tenants' keys are still with vault")
        await keys.newest_version(tenant)
        await keys.retire_versions(tenant, below=1)
    assert await keys.needed() == {"vault"}, "as of the last minute"
    assert keys._looked_at is not None
    keys._looked_at -= LOOKED_SECONDS
    # It is not asked any more, and may be away.
    found = await KeysCheck(keys).probe()
    assert found == Fine("file wraps; vault may be taken out of MUNIMENT_KEYS__FORMER")
    await keys.close()


async def test_a_former_provider_that_is_away_is_told_while_it_is_needed(tmp_path: Path) -> None:
    records = TenantRecords(tmp_path / "vault")
    await records.change(
        uuid4(), lambda _: TenantRecord(newest_version=1, dedup_key="vault:v1:AA==")
    )
    former = former_vault(f"http://127.0.0.1:{free_port()}", tmp_path / "vault")
    keys = ChangingKeys(KeyFile(tmp_path / "tenants.json"), {"vault": former})
    with pytest.raises(KeyManagementUnavailable):
        await KeysCheck(keys).probe()
    await keys.close()
