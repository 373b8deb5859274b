"""The provider of keys is changed under content: tenants are brought over by rotations that begin by
themselves, and the former provider cannot be left out before."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from temporalio.client import WorkflowFailureError

from db.models import KeyRotation, new_id
from db.queries.key_rotations import open_rotation
from db.session import Access
from muniment.contracts.rotate_keys import workflow_id
from muniment.errors import ConfigurationError, OrchestratorUnavailable
from muniment.sealing import ChangingKeys
from muniment.settings import KeyProviderSettings, KeySettings
from muniment.stores import open_stores
from tests.conformance.key_services import VAULT_TOKEN, KeyServer, serving_vault
from tests.conftest import REPOSITORY
from tests.patience import on_a_busy_machine
from tests.workflows.killed_rotation import STEPS
from tests.workflows.test_rotate_keys import (
    ONLY,
    Watched,
    newest,
    read,
    rotating,
    rotation,
    store,
    wrapped,
)
from tests.workflows.workshop import TenantIds, Workshop
from worker.provider_change import ProviderChange

pytestmark = pytest.mark.asyncio(loop_scope="session")

FILE = KeyProviderSettings()


@pytest.fixture
async def vault(tmp_path: Path) -> AsyncIterator[KeyServer]:
    with serving_vault(tmp_path) as server:
        yield server


def with_keys(workshop: Workshop, root: Path, **keys: Any) -> Workshop:
    """As processes see it that were started with these settings; the folder is the test's own."""
    settings = workshop.settings.model_copy(update={"keys": KeySettings(root=root, **keys)})
    return replace(workshop, settings=settings, stores=open_stores(settings))


def with_vault(
    workshop: Workshop, root: Path, vault: KeyServer, former: tuple[KeyProviderSettings, ...] = ()
) -> Workshop:
    address, token = vault.url, SecretStr(VAULT_TOKEN)
    return with_keys(workshop, root, provider="vault", address=address, token=token, former=former)


def change_of(workshop: Workshop) -> ProviderChange:
    assert workshop.stores.changing is not None
    return ProviderChange(workshop.database, workshop.client, workshop.stores.changing)


async def unfinished(workshop: Workshop) -> int:
    keys = workshop.stores.keys
    assert isinstance(keys, ChangingKeys)
    return sum(len(tenants) for tenants in (await keys.unfinished()).values())


async def test_a_deployment_moves_from_the_file_to_vault_though_its_worker_is_lost(
    workshop: Workshop, owner: TenantIds, vault: KeyServer, tmp_path: Path
) -> None:
    root = tmp_path / "keys"
    contents = await store(with_keys(workshop, root), owner, 8)
    with pytest.raises(ConfigurationError, match="still with `file`"):
        with_vault(workshop, root, vault)
    both = with_vault(workshop, root, vault, (FILE,))
    contents |= await store(both, owner, 2)
    first, second = Watched(both, waits_at=3), Watched(both)
    async with both.working(replacing=rotating(both, blobs=first), names=ONLY):
        rounds = [change_of(both).round() for _ in range(3)]
        assert await asyncio.gather(*rounds) == [1, 1, 1], "what is open is not begun twice"
        await first.waiting.wait()
    for blob_id, content in contents.items():
        assert await read(both, owner, blob_id) == content
    with pytest.raises(ConfigurationError, match="still with `file`"):
        with_vault(workshop, root, vault)
    row = await newest(both, owner)
    async with both.working(replacing=rotating(both, blobs=second), names=ONLY):
        handle = both.client.get_workflow_handle(workflow_id(row["id"]))
        async with asyncio.timeout(on_a_busy_machine(60)):
            await handle.result()
    row = await newest(both, owner)
    assert (row["state"], row["provider"], row["to_version"]) == ("completed", "vault", 2)
    assert await unfinished(both) == 0
    assert await change_of(both).round() == 0
    alone = with_vault(workshop, root, vault)
    assert {key[:9] for key in wrapped(alone, owner).values()} == {b"vault:v2:"}
    for blob_id, content in contents.items():
        assert await read(alone, owner, blob_id) == content
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        found = await session.execute(
            text(
                "SELECT action, payload->>'reason' FROM audit_event"
                " WHERE object_type = 'key_rotation' ORDER BY id"
            )
        )
        assert [tuple(row) for row in found] == [
            ("keys.rotation_requested", "provider-changed"),
            ("keys.rotation_completed", None),
        ]
    for each in (both, alone):
        await each.stores.keys.close()


@pytest.mark.parametrize(
    "step", [*STEPS[1:3], *(pytest.param(step, marks=pytest.mark.slow) for step in STEPS[::3])]
)
async def test_who_comes_after_a_kill_goes_on_and_nothing_is_lost(
    workshop: Workshop, owner: TenantIds, vault: KeyServer, tmp_path: Path, step: str
) -> None:
    root = tmp_path / "keys"
    contents = await store(with_keys(workshop, root), owner, 3)
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        row = await open_rotation(session, owner.tenant_id, new_id())
    environment = {
        **os.environ,
        "MUNIMENT_DATABASE__URL": workshop.settings.database.url.get_secret_value(),
        "MUNIMENT_OBJECTS__ROOT": str(workshop.settings.objects.root),
        "MUNIMENT_KEYS__ROOT": str(root),
        "MUNIMENT_KEYS__PROVIDER": "vault",
        "MUNIMENT_KEYS__ADDRESS": vault.url,
        "MUNIMENT_KEYS__TOKEN": VAULT_TOKEN,
        "MUNIMENT_KEYS__FORMER": '[{"provider": "file"}]',
    }
    command = [sys.executable, "-m", "tests.workflows.killed_rotation"]
    killed = await asyncio.create_subprocess_exec(
        *(*command, step, str(owner.tenant_id), str(row.id)), cwd=REPOSITORY, env=environment
    )
    async with asyncio.timeout(on_a_busy_machine(60)):
        assert await killed.wait() == -signal.SIGKILL
    both = with_vault(workshop, root, vault, (FILE,))
    for blob_id, content in contents.items():
        assert await read(both, owner, blob_id) == content, "at any time"
    async with both.working(replacing=rotating(both), names=ONLY):
        await (await rotation(both, owner)).result()
    assert await unfinished(both) == 0
    alone = with_vault(workshop, root, vault)
    assert {key[:9] for key in wrapped(alone, owner).values()} == {b"vault:v2:"}
    for blob_id, content in contents.items():
        assert await read(alone, owner, blob_id) == content
    for each in (both, alone):
        await each.stores.keys.close()


async def test_a_rotation_that_the_change_overtakes_retires_nothing_and_begins_anew(
    workshop: Workshop, owner: TenantIds, vault: KeyServer, tmp_path: Path
) -> None:
    """What it had re-wrapped before hangs on the former provider."""
    root = tmp_path / "keys"
    before = with_keys(workshop, root)
    contents = await store(before, owner, 4)
    halfway = Watched(before, waits_at=2)
    async with before.working(replacing=rotating(before, blobs=halfway), names=ONLY):
        overtaken = await rotation(before, owner)
        await halfway.waiting.wait()
    both = with_vault(workshop, root, vault, (FILE,))
    async with both.working(replacing=rotating(both), names=ONLY):
        with pytest.raises(WorkflowFailureError):
            await overtaken.result()
        row = await newest(both, owner)
        assert (row["state"], row["provider"]) == ("failed", "file")
        for blob_id, content in contents.items():
            assert await read(both, owner, blob_id) == content
        assert await change_of(both).round() == 1
        row = await newest(both, owner)
        await both.client.get_workflow_handle(workflow_id(row["id"])).result()
    alone = with_vault(workshop, root, vault)
    for blob_id, content in contents.items():
        assert await read(alone, owner, blob_id) == content
    for each in (both, alone):
        await each.stores.keys.close()


async def test_a_rotation_during_which_the_tenant_was_away_retires_nothing(
    workshop: Workshop, owner: TenantIds, vault: KeyServer, tmp_path: Path
) -> None:
    """To Vault, back to the file and again to Vault: what was stored in between lies in places that the
    first rotation had looked through."""
    root = tmp_path / "keys"
    contents = await store(with_keys(workshop, root), owner, 4)
    both = with_vault(workshop, root, vault, (FILE,))
    halfway = Watched(both, waits_at=2)
    async with both.working(replacing=rotating(both, blobs=halfway), names=ONLY):
        away = await rotation(both, owner)
        await halfway.waiting.wait()
    address, token = vault.url, SecretStr(VAULT_TOKEN)
    former = KeyProviderSettings(provider="vault", address=address, token=token)
    back = with_keys(workshop, root, former=(former,))
    contents |= await store(back, owner, 4)
    again = with_vault(workshop, root, vault, (FILE,))
    await again.stores.keys.newest_version(owner.tenant_id)
    async with again.working(replacing=rotating(again), names=ONLY):
        with pytest.raises(WorkflowFailureError):
            await away.result()
        assert (await newest(again, owner))["state"] == "failed"
        assert await unfinished(again) == 1
        await (await rotation(again, owner)).result()
    alone = with_vault(workshop, root, vault)
    for blob_id, content in contents.items():
        assert await read(alone, owner, blob_id) == content
    for each in (both, back, again, alone):
        await each.stores.keys.close()


def hours_ago(hours: float) -> datetime:
    return datetime.now(UTC) - timedelta(hours=hours)


async def change_row(workshop: Workshop, owner: TenantIds, row_id: UUID, **changes: object) -> None:
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        row = await session.get_one(KeyRotation, row_id)
        for name, value in changes.items():
            setattr(row, name, value)


async def test_one_that_failed_late_is_not_begun_again_at_once(
    workshop: Workshop, owner: TenantIds, vault: KeyServer, tmp_path: Path
) -> None:
    """It waits between its rounds: it is a day old when it fails."""
    root = tmp_path / "keys"
    await store(with_keys(workshop, root), owner, 1)
    both = with_vault(workshop, root, vault, (FILE,))
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        row = await open_rotation(session, owner.tenant_id, new_id())
    failed: dict[str, Any] = {"state": "failed", "provider": "vault"}
    failed |= {"created_at": hours_ago(50), "finished_at": hours_ago(1)}
    await change_row(both, owner, row.id, **failed)
    assert await change_of(both).round() == 0
    await change_row(both, owner, row.id, finished_at=hours_ago(25))
    assert await change_of(both).round() == 1
    await both.stores.keys.close()


async def test_a_wait_that_is_over_is_ended_though_its_workflow_is_gone(
    workshop: Workshop, owner: TenantIds, vault: KeyServer, tmp_path: Path
) -> None:
    root = tmp_path / "keys"
    await store(with_keys(workshop, root), owner, 1)
    both = with_vault(workshop, root, vault, (FILE,))
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        row = await open_rotation(session, owner.tenant_id, new_id())
    waiting: dict[str, Any] = {"state": "waiting", "round": 2, "provider": "vault"}
    await change_row(both, owner, row.id, **waiting, from_version=1, retire_at=hours_ago(-1))
    assert await change_of(both).round() == 0
    await change_row(both, owner, row.id, retire_at=hours_ago(0))
    async with both.working(replacing=rotating(both), names=ONLY):
        assert await change_of(both).round() == 1
        await both.client.get_workflow_handle(workflow_id(row.id)).result()
    assert await unfinished(both) == 0
    await both.stores.keys.close()


async def test_one_tenants_trouble_keeps_no_other_back(
    workshop: Workshop, owner: TenantIds, vault: KeyServer, tmp_path: Path
) -> None:
    root = tmp_path / "keys"
    troubled = UUID(int=1)  # the first in every round
    keys = with_keys(workshop, root).stores.keys
    for tenant_id in (troubled, owner.tenant_id):
        await keys.newest_version(tenant_id)
    both = with_vault(workshop, root, vault, (FILE,))

    class Troubled(ProviderChange):
        async def _is_at_work(self, tenant_id: UUID) -> bool:
            if tenant_id == troubled:
                raise OrchestratorUnavailable("not for this one")
            return await super()._is_at_work(tenant_id)

    assert both.stores.changing is not None
    assert await Troubled(both.database, both.client, both.stores.changing).round() == 1
    await both.stores.keys.close()


async def test_a_key_that_does_not_unwrap_keeps_the_former_provider(
    workshop: Workshop, owner: TenantIds, vault: KeyServer, tmp_path: Path
) -> None:
    root = tmp_path / "keys"
    broken, sound = await store(with_keys(workshop, root), owner, 2)
    path = root / "wrapped" / str(owner.tenant_id) / broken.hex[-2:] / str(broken)
    kept = path.read_bytes()
    path.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    both = with_vault(workshop, root, vault, (FILE,))
    async with both.working(replacing=rotating(both), names=ONLY):
        assert await change_of(both).round() == 1
        row = await newest(both, owner)
        await both.client.get_workflow_handle(workflow_id(row["id"])).result()
        row = await newest(both, owner)
        assert (row["state"], row["keys_unreadable"]) == ("failed", 1)
        assert await change_of(both).round() == 0, "somebody has to mend it first"
        assert await unfinished(both) == 1
        path.write_bytes(kept)
        await (await rotation(both, owner)).result()
    assert await unfinished(both) == 0
    alone = with_vault(workshop, root, vault)
    for blob_id in (broken, sound):
        assert (await read(alone, owner, blob_id)).startswith(b"content")
    for each in (both, alone):
        await each.stores.keys.close()


async def test_keys_of_a_tenant_that_the_database_does_not_have_are_left_alone(
    workshop: Workshop, vault: KeyServer, tmp_path: Path
) -> None:
    root = tmp_path / "keys"
    await with_keys(workshop, root).stores.keys.newest_version(uuid4())
    both = with_vault(workshop, root, vault, (FILE,))
    assert await change_of(both).round() == 0
    assert await unfinished(both) == 1
    await both.stores.keys.close()
