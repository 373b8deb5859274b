"""The provider of keys is changed, from each kind to each: what was wrapped goes on unwrapping until it is
wrapped anew, and then the former provider opens nothing and may go."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from muniment.errors import KeyDestroyed, KeyManagementUnavailable, SealBroken
from muniment.sealing import (
    AwsAccess,
    AwsKms,
    ChangingKeys,
    KeyFile,
    KeyManagement,
    KeyProvider,
    RemoteKeys,
    TenantRecords,
    TenantState,
    VaultAccess,
    VaultTransit,
)
from tests.conformance.key_management import CONTEXT, KeyManagementConformance
from tests.conformance.key_services import (
    VAULT_TOKEN,
    KeyServer,
    serving_aws_kms,
    serving_vault,
)

CHANGES = [("file", "vault"), ("vault", "aws"), ("aws", "file")]
DIGEST = b"d" * 32

Provide = Callable[[str], KeyProvider]


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyServer]:
    with serving_vault(tmp_path_factory.mktemp("vault")) as server:
        yield server


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyServer]:
    with serving_aws_kms(tmp_path_factory.mktemp("aws")) as server:
        yield server


@pytest.fixture
async def provide(vault: KeyServer, aws: KeyServer, tmp_path: Path) -> AsyncIterator[Provide]:
    """A provider of that kind, as each process has its own; all share the folder."""
    made = list[KeyProvider]()

    def provided(kind: str) -> KeyProvider:
        provider: KeyProvider
        if kind == "file":
            provider = KeyFile(tmp_path / "tenants.json")
        elif kind == "vault":
            access = VaultAccess(vault.url, lambda: VAULT_TOKEN, timeout_seconds=30)
            provider = RemoteKeys(VaultTransit(access), TenantRecords(tmp_path / kind))
        else:
            service = AwsKms(AwsAccess("eu-west-2", aws.url, "access", "secret", 30))
            provider = RemoteKeys(service, TenantRecords(tmp_path / kind))
        made.append(provider)
        return provider

    yield provided
    for provider in made:
        await provider.close()


def changing(provide: Provide, former: str, current: str) -> ChangingKeys:
    return ChangingKeys(provide(current), {former: provide(former)})


class TestFromFileToVault(KeyManagementConformance):
    """While a provider is changed it is as good as any."""

    @pytest.fixture
    def keys(self, provide: Provide) -> KeyManagement:
        return changing(provide, "file", "vault")

    @pytest.fixture
    def elsewhere(self, provide: Provide) -> KeyManagement:
        return changing(provide, "file", "vault")


@pytest.mark.parametrize(("former", "current"), CHANGES)
class TestChanges:
    async def test_all_moves_and_nothing_hangs_on_the_former_one_afterwards(
        self, provide: Provide, former: str, current: str
    ) -> None:
        tenant, before = uuid4(), provide(former)
        data_key = await before.generate_data_key(tenant, CONTEXT)
        tag = await before.dedup_tag(tenant, DIGEST)
        keys = changing(provide, former, current)
        assert await keys.unwrap(tenant, data_key.wrapped, CONTEXT) == data_key.plaintext
        assert await keys.dedup_tag(tenant, DIGEST) == tag
        renewed = await keys.rewrap(tenant, data_key.wrapped, CONTEXT)
        assert provide(current).wrapped_here(renewed)
        assert await keys.rewrap(tenant, renewed, CONTEXT) == renewed
        assert await keys.unfinished() == {former: {tenant}}
        version = await keys.rotate_tenant_key(tenant, above=await keys.newest_version(tenant))
        renewed = await keys.rewrap(tenant, renewed, CONTEXT)
        for _ in range(2):
            await keys.retire_versions(tenant, below=version)
            assert await keys.unfinished() == {former: frozenset()}
        alone = provide(current)
        assert await alone.unwrap(tenant, renewed, CONTEXT) == data_key.plaintext
        assert await alone.dedup_tag(tenant, DIGEST) == tag
        for user in (keys, provide(former)):
            with pytest.raises(SealBroken):
                await user.unwrap(tenant, data_key.wrapped, CONTEXT)
        # A process that was forgotten in the change stores nothing that will be lost.
        for call in (before.generate_data_key(tenant, CONTEXT), before.dedup_tag(tenant, DIGEST)):
            with pytest.raises(KeyManagementUnavailable, match="moved"):
                await call

    async def test_and_back_again(self, provide: Provide, former: str, current: str) -> None:
        tenant = uuid4()
        first = await provide(former).generate_data_key(tenant, CONTEXT)
        tag = await provide(former).dedup_tag(tenant, DIGEST)
        there = changing(provide, former, current)
        kept = await there.rewrap(tenant, first.wrapped, CONTEXT)
        await there.retire_versions(tenant, below=1)
        back = changing(provide, current, former)
        kept = await back.rewrap(tenant, kept, CONTEXT)
        await back.retire_versions(tenant, below=await back.newest_version(tenant))
        alone = provide(former)
        assert await alone.unwrap(tenant, kept, CONTEXT) == first.plaintext
        assert await alone.dedup_tag(tenant, DIGEST) == tag
        with pytest.raises(SealBroken):
            await alone.unwrap(tenant, first.wrapped, CONTEXT)
        assert await back.unfinished() == {current: frozenset()}

    async def test_another_tenants_or_another_context_is_refused(
        self, provide: Provide, former: str, current: str
    ) -> None:
        tenant, stranger = uuid4(), uuid4()
        wrapped = (await provide(former).generate_data_key(tenant, CONTEXT)).wrapped
        await provide(former).generate_data_key(stranger, CONTEXT)
        keys = changing(provide, former, current)
        elsewhere = b"muniment/v1|stranger|blob"  # as whoever asks for the stranger has it
        for user, context in ((stranger, elsewhere), (tenant, b"muniment/v1|tenant|other")):
            with pytest.raises(SealBroken):
                await keys.rewrap(user, wrapped, context)

    async def test_who_was_destroyed_stays_so_when_the_former_one_is_gone(
        self, provide: Provide, former: str, current: str
    ) -> None:
        destroyed, destroyed_later, interrupted = uuid4(), uuid4(), uuid4()
        for tenant in (destroyed, destroyed_later, interrupted):
            await provide(former).generate_data_key(tenant, CONTEXT)
        await provide(former).destroy_tenant_key(destroyed)
        keys = changing(provide, former, current)
        assert await keys.unfinished() == {former: {destroyed, destroyed_later, interrupted}}
        await provide(current).destroy_tenant_key(interrupted)
        await keys.generate_data_key(destroyed_later, CONTEXT)
        await keys.destroy_tenant_key(destroyed_later)
        assert provide(former).state(destroyed_later) is TenantState.DESTROYED
        await keys.carry_destroyed()
        assert await keys.unfinished() == {former: frozenset()}
        for tenant in (destroyed, destroyed_later, interrupted):
            for user in (keys, provide(current)):
                with pytest.raises(KeyDestroyed):
                    await user.generate_data_key(tenant, CONTEXT)

    async def test_who_is_killed_between_the_two_providers_is_repeated(
        self, provide: Provide, former: str, current: str
    ) -> None:
        """The new one has retired, the former one has not moved away: as a kill -9 leaves it."""
        tenant = uuid4()
        old = await provide(former).generate_data_key(tenant, CONTEXT)
        keys = changing(provide, former, current)
        kept = await keys.rewrap(tenant, old.wrapped, CONTEXT)
        version = await keys.rotate_tenant_key(tenant, above=1)
        kept = await keys.rewrap(tenant, kept, CONTEXT)
        await provide(current).retire_versions(tenant, below=version)
        assert await keys.unfinished() == {former: {tenant}}
        again = changing(provide, former, current)
        assert await again.rotate_tenant_key(tenant, above=1) == version
        await again.retire_versions(tenant, below=version)
        assert await again.unfinished() == {former: frozenset()}
        assert await provide(current).unwrap(tenant, kept, CONTEXT) == old.plaintext

    async def test_who_has_the_former_settings_only_opens_from_the_first_use_on(
        self, provide: Provide, former: str, current: str
    ) -> None:
        """A host that was forgotten in the change: what it wrapped now might be seen by nobody."""
        tenant, later, forgotten = uuid4(), uuid4(), provide(former)
        data_key = await forgotten.generate_data_key(tenant, CONTEXT)
        tag = await forgotten.dedup_tag(tenant, DIGEST)
        keys = changing(provide, former, current)
        for each in (tenant, later):
            await keys.newest_version(each)
        assert await keys.unfinished() == {former: {tenant}}
        assert await forgotten.unwrap(tenant, data_key.wrapped, CONTEXT) == data_key.plaintext
        assert await forgotten.dedup_tag(tenant, DIGEST) == tag
        for call in (
            forgotten.generate_data_key(tenant, CONTEXT),
            forgotten.generate_data_key(later, CONTEXT),
            forgotten.wrap(tenant, data_key.plaintext, CONTEXT),
            forgotten.rewrap(tenant, data_key.wrapped, CONTEXT),
            forgotten.newest_version(tenant),
            forgotten.rotate_tenant_key(tenant, above=1),
            forgotten.retire_versions(tenant, below=1),
        ):
            with pytest.raises(KeyManagementUnavailable, match="moved"):
                await call

    async def test_who_goes_back_in_the_middle_wraps_by_other_versions_each_time(
        self, provide: Provide, former: str, current: str
    ) -> None:
        """So that a rotation which began before knows that the tenant was away."""
        tenant = uuid4()
        old = await provide(former).generate_data_key(tenant, CONTEXT)
        there = changing(provide, former, current)
        kept = await there.rewrap(tenant, old.wrapped, CONTEXT)
        version = await there.newest_version(tenant)
        back = changing(provide, current, former)
        assert await back.newest_version(tenant) == 2
        between = await back.generate_data_key(tenant, CONTEXT)
        with pytest.raises(KeyManagementUnavailable, match="moved"):
            await there.retire_versions(tenant, below=version)
        with pytest.raises(KeyManagementUnavailable, match="moved"):
            await provide(former).move_away(tenant)
        again = changing(provide, former, current)
        assert await again.newest_version(tenant) == version + 1
        for wrapped, plaintext in (
            (kept, old.plaintext),
            (old.wrapped, old.plaintext),
            (between.wrapped, between.plaintext),
        ):
            assert await again.unwrap(tenant, wrapped, CONTEXT) == plaintext

    async def test_who_was_killed_before_the_former_one_noted_it_is_followed_up(
        self, provide: Provide, former: str, current: str
    ) -> None:
        tenant = uuid4()
        data_key = await provide(former).generate_data_key(tenant, CONTEXT)
        dedup_key = await provide(former).dedup_key(tenant)
        await provide(current).take_over(tenant, dedup_key)
        keys = changing(provide, former, current)
        assert await keys.unwrap(tenant, data_key.wrapped, CONTEXT) == data_key.plaintext
        await keys.newest_version(tenant)
        assert provide(former).state(tenant) is TenantState.LEAVING
        await keys.destroy_tenant_key(tenant)
        assert provide(former).state(tenant) is TenantState.DESTROYED


@pytest.mark.parametrize("former", ["vault", "aws"])
async def test_the_way_back_is_open_to_who_was_killed_while_a_service_let_go(
    provide: Provide, former: str
) -> None:
    """The service refuses all that there was, and the record does not say so yet."""
    tenant, before = uuid4(), provide(former)
    assert isinstance(before, RemoteKeys)
    old = await before.generate_data_key(tenant, CONTEXT)
    tag = await before.dedup_tag(tenant, DIGEST)
    there = changing(provide, former, "file")
    kept = await there.rewrap(tenant, old.wrapped, CONTEXT)
    await before._service.retire_all(tenant, await provide("file").newest_version(tenant))
    back = changing(provide, "file", former)
    assert await back.dedup_tag(tenant, DIGEST) == tag
    kept = await back.rewrap(tenant, kept, CONTEXT)
    version = await back.rotate_tenant_key(tenant, above=await back.newest_version(tenant))
    kept = await back.rewrap(tenant, kept, CONTEXT)
    await back.retire_versions(tenant, below=version)
    alone = provide(former)
    assert await alone.unwrap(tenant, kept, CONTEXT) == old.plaintext
    assert await alone.dedup_tag(tenant, DIGEST) == tag


async def test_one_damaged_record_keeps_no_other_tenant_from_being_carried(
    provide: Provide, tmp_path: Path
) -> None:
    damaged, destroyed = sorted((uuid4(), uuid4()))
    for tenant in (damaged, destroyed):
        await provide("file").destroy_tenant_key(tenant)
    keys = changing(provide, "file", "vault")
    (tmp_path / "vault").mkdir()
    (tmp_path / "vault" / f"{damaged}.json").write_text("{")
    await keys.carry_destroyed()
    assert await keys.unfinished() == {"file": {damaged}}
    with pytest.raises(KeyDestroyed):
        await provide("vault").generate_data_key(destroyed, CONTEXT)


@pytest.mark.parametrize("kind", ["file", "vault"])
async def test_files_that_no_change_has_touched_are_read_by_the_releases_before(
    provide: Provide, tmp_path: Path, kind: str
) -> None:
    provider, living, destroyed = provide(kind), uuid4(), uuid4()
    await provider.generate_data_key(living, CONTEXT)
    await provider.destroy_tenant_key(destroyed)
    paths = [tmp_path / "tenants.json"] if kind == "file" else (tmp_path / kind).glob("*.json")
    for path in paths:
        written = path.read_text()
        assert '"format"' in written
        assert "moved" not in written
        assert "leaving" not in written
    assert provide(kind).states() == {
        living: TenantState.LIVING,
        destroyed: TenantState.DESTROYED,
    }


async def test_a_service_that_is_away_keeps_its_tenant(
    provide: Provide, vault: KeyServer, tmp_path: Path
) -> None:
    """A former provider that does not answer has not let go, and says so to whoever is ready."""
    tenant = uuid4()
    await provide("vault").generate_data_key(tenant, CONTEXT)
    access = VaultAccess(vault.url, lambda: VAULT_TOKEN, timeout_seconds=0.3)
    short = RemoteKeys(VaultTransit(access), TenantRecords(tmp_path / "vault"))
    keys = ChangingKeys(provide("file"), {"vault": short})
    await keys.newest_version(tenant)
    with vault.hanging():
        for call in (keys.retire_versions(tenant, below=1), keys.probe()):
            with pytest.raises(KeyManagementUnavailable):
                await call
    assert await keys.unfinished() == {"vault": {tenant}}
    await keys.retire_versions(tenant, below=1)
    await keys.close()
