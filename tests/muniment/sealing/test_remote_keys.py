"""Keys in Vault's transit engine and in AWS KMS, on servers of their own: conformance, and services
that are away, mute, or refuse us."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from botocore.session import Session

from muniment.errors import ConfigurationError, KeyManagementUnavailable, SealBroken
from muniment.sealing import (
    AwsAccess,
    AwsKms,
    KeyManagement,
    RemoteKeys,
    TenantRecords,
    VaultAccess,
    VaultTransit,
)
from muniment.sealing.keys import TenantState
from muniment.sealing.remote_keys import KeyService
from tests.conformance.key_management import CONTEXT, KeyManagementConformance
from tests.conformance.key_services import (
    VAULT_TOKEN,
    KeyServer,
    serving_aws_kms,
    serving_vault,
)
from tests.conftest import free_port
from tests.patience import on_a_busy_machine

REGION = "eu-west-2"


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyServer]:
    with serving_vault(tmp_path_factory.mktemp("vault")) as server:
        yield server


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyServer]:
    with serving_aws_kms(tmp_path_factory.mktemp("aws")) as server:
        yield server


def vault_service(url: str, token: str = VAULT_TOKEN, timeout_seconds: float = 30) -> VaultTransit:
    return VaultTransit(VaultAccess(url, lambda: token, timeout_seconds=timeout_seconds))


def aws_service(url: str, timeout_seconds: float = 30) -> AwsKms:
    return AwsKms(AwsAccess(REGION, url, "access", "secret", timeout_seconds))


async def opened(service: KeyService, folder: Path) -> AsyncIterator[RemoteKeys]:
    keys = RemoteKeys(service, TenantRecords(folder))
    yield keys
    await keys.close()


class TestVaultTransit(KeyManagementConformance):
    @pytest.fixture
    async def keys(self, vault: KeyServer, tmp_path: Path) -> AsyncIterator[KeyManagement]:
        async for keys in opened(vault_service(vault.url), tmp_path):
            yield keys

    @pytest.fixture
    async def elsewhere(self, vault: KeyServer, tmp_path: Path) -> AsyncIterator[KeyManagement]:
        async for keys in opened(vault_service(vault.url), tmp_path):
            yield keys

    async def test_vault_itself_refuses_what_is_retired_and_forgets_what_is_destroyed(
        self, vault: KeyServer, keys: KeyManagement
    ) -> None:
        tenant = uuid4()
        wrapped = (await keys.generate_data_key(tenant, CONTEXT)).wrapped
        await keys.rotate_tenant_key(tenant, above=1)
        await keys.retire_versions(tenant, below=2)
        service = vault_service(vault.url)
        with pytest.raises(SealBroken):
            await service.unwrap(tenant, wrapped, CONTEXT)
        headers = {"X-Vault-Token": VAULT_TOKEN}
        path = f"{vault.url}/v1/transit/keys/muniment-{tenant}"
        async with httpx.AsyncClient(headers=headers, trust_env=False) as client:
            key = (await client.get(path)).json()["data"]
            assert (key["min_decryption_version"], key["latest_version"]) == (2, 2)
            assert key["derived"]
            assert not key["exportable"]
            await keys.destroy_tenant_key(tenant)
            assert (await client.get(path)).status_code == 404
        await service.close()

    async def test_what_an_operator_rotated_counts_as_a_rotation(
        self, vault: KeyServer, keys: KeyManagement
    ) -> None:
        tenant = uuid4()
        before = await keys.generate_data_key(tenant, CONTEXT)
        operator = vault_service(vault.url)
        await operator.rotate(tenant, above=1)
        await operator.close()
        between = await keys.generate_data_key(tenant, CONTEXT)
        assert await keys.rewrap(tenant, between.wrapped, CONTEXT) == between.wrapped
        assert await keys.rotate_tenant_key(tenant, above=1) == 2
        await keys.retire_versions(tenant, below=2)
        assert await keys.unwrap(tenant, between.wrapped, CONTEXT) == between.plaintext
        with pytest.raises(SealBroken):
            await keys.unwrap(tenant, before.wrapped, CONTEXT)

    async def test_a_refused_token_is_told(self, vault: KeyServer, tmp_path: Path) -> None:
        async for keys in opened(vault_service(vault.url, token="another"), tmp_path):
            for call in (keys.probe(), keys.generate_data_key(uuid4(), CONTEXT)):
                with pytest.raises(KeyManagementUnavailable, match="token"):
                    await call

    async def test_what_is_no_transit_engine_is_told(
        self, vault: KeyServer, tmp_path: Path
    ) -> None:
        access = VaultAccess(vault.url, lambda: VAULT_TOKEN, mount="elsewhere")
        async for keys in opened(VaultTransit(access), tmp_path):
            for call in (keys.generate_data_key(uuid4(), CONTEXT), keys.probe()):
                with pytest.raises(KeyManagementUnavailable, match="404"):
                    await call
            # Another engine's silence is no proof that the key is gone.
            with pytest.raises(KeyManagementUnavailable, match="404"):
                await keys.destroy_tenant_key(uuid4())

    async def test_a_late_retirement_revives_nothing(
        self, vault: KeyServer, keys: KeyManagement
    ) -> None:
        tenant = uuid4()
        await keys.rotate_tenant_key(tenant, above=1)
        wrapped = (await keys.generate_data_key(tenant, CONTEXT)).wrapped
        await keys.rotate_tenant_key(tenant, above=2)
        await keys.retire_versions(tenant, below=3)
        await keys.retire_versions(tenant, below=2)
        service = vault_service(vault.url)
        with pytest.raises(SealBroken):
            await service.unwrap(tenant, wrapped, CONTEXT)
        await service.close()

    async def test_an_engine_without_keys_is_ready(self, keys: KeyManagement) -> None:
        await keys.probe()

    async def test_what_is_no_vault_is_told(self, aws: KeyServer, tmp_path: Path) -> None:
        async for keys in opened(vault_service(aws.url), tmp_path):
            with pytest.raises(KeyManagementUnavailable):
                await keys.probe()

    async def test_certificates_that_are_none_are_told(self, tmp_path: Path) -> None:
        (tmp_path / "ca.pem").write_text("no certificate")
        access = VaultAccess("https://127.0.0.1:1", lambda: "t", ca_file=tmp_path / "ca.pem")
        async for keys in opened(VaultTransit(access), tmp_path):
            with pytest.raises(ConfigurationError, match="CA_FILE"):
                await keys.probe()


class TestAwsKms(KeyManagementConformance):
    # The id of the KMS key: with another one moto says that we are denied, KMS that it is not the key.
    untouched = range(7, 56)

    @pytest.fixture
    async def keys(self, aws: KeyServer, tmp_path: Path) -> AsyncIterator[KeyManagement]:
        async for keys in opened(aws_service(aws.url), tmp_path):
            yield keys

    @pytest.fixture
    async def elsewhere(self, aws: KeyServer, tmp_path: Path) -> AsyncIterator[KeyManagement]:
        async for keys in opened(aws_service(aws.url), tmp_path):
            yield keys

    async def test_keys_that_are_retired_or_destroyed_are_deleted_by_kms(
        self, aws: KeyServer, keys: KeyManagement
    ) -> None:
        tenant = uuid4()
        await keys.generate_data_key(tenant, CONTEXT)
        await keys.rotate_tenant_key(tenant, above=1)
        client = Session().create_client(
            "kms",
            region_name=REGION,
            endpoint_url=aws.url,
            aws_access_key_id="access",
            aws_secret_access_key="secret",
        )

        def states() -> list[str]:
            aliases = [f"alias/muniment/{tenant}/{version}" for version in (1, 2)]
            return [client.describe_key(KeyId=each)["KeyMetadata"]["KeyState"] for each in aliases]

        assert states() == ["Enabled", "Enabled"]
        await keys.retire_versions(tenant, below=2)
        assert states() == ["PendingDeletion", "Enabled"]
        await keys.destroy_tenant_key(tenant)
        assert states() == ["PendingDeletion", "PendingDeletion"]
        for version in (1, 2):
            alias = f"alias/muniment/{tenant}/{version}"
            deleted_at = client.describe_key(KeyId=alias)["KeyMetadata"]["DeletionDate"]
            assert deleted_at <= datetime.now(UTC) + timedelta(days=7)
        client.close()

    async def test_what_waits_for_a_mute_service_ends_with_the_rest(self, aws: KeyServer) -> None:
        service = aws_service(aws.url, timeout_seconds=0.5)
        with aws.hanging():
            began = time.monotonic()
            asked = (service.unwrap(uuid4(), b"aws:v1:AAAA", CONTEXT) for _ in range(100))
            answers = await asyncio.gather(*asked, return_exceptions=True)
            assert time.monotonic() - began < 20
        assert all(isinstance(answer, KeyManagementUnavailable) for answer in answers)
        await service.close()

    def test_the_secret_key_is_not_shown(self) -> None:
        assert "sekret" not in repr(AwsAccess("eu-west-2", access_key="a", secret_key="sekret"))

    async def test_two_who_make_a_version_at_once_leave_one_key(self, aws: KeyServer) -> None:
        tenant = uuid4()
        services = [aws_service(aws.url) for _ in range(3)]
        await asyncio.gather(*(service.make_key(tenant) for service in services))
        wrapped = (await services[0].generate_data_key(tenant, 1, CONTEXT)).wrapped
        opened = [await service.unwrap(tenant, wrapped, CONTEXT) for service in services]
        assert len(set(opened)) == 1
        for service in services:
            await service.close()


Service = Callable[[str, float], KeyService]


@pytest.mark.parametrize("kind", ["vault", "aws"])
class TestOutages:
    def service(self, kind: str, url: str, timeout_seconds: float) -> KeyService:
        if kind == "vault":
            return vault_service(url, timeout_seconds=timeout_seconds)
        return aws_service(url, timeout_seconds)

    async def test_a_service_that_is_away_is_told_soon(self, kind: str, tmp_path: Path) -> None:
        url = f"http://127.0.0.1:{free_port()}"
        async for keys in opened(self.service(kind, url, 1.0), tmp_path):
            began = time.monotonic()
            for call in (keys.probe(), keys.generate_data_key(uuid4(), CONTEXT)):
                with pytest.raises(KeyManagementUnavailable):
                    await call
            assert time.monotonic() - began < on_a_busy_machine(30)
        assert list(tmp_path.iterdir()) == [], "no tenant has a record without a key"

    async def test_a_mute_service_is_not_waited_for_longer_than_set(
        self, kind: str, request: pytest.FixtureRequest, tmp_path: Path
    ) -> None:
        server: KeyServer = request.getfixturevalue(kind)
        tenant = uuid4()
        async for keys in opened(self.service(kind, server.url, 0.5), tmp_path):
            made = await keys.generate_data_key(tenant, CONTEXT)
            with server.hanging():
                began = time.monotonic()
                with pytest.raises(KeyManagementUnavailable):
                    await keys.unwrap(tenant, made.wrapped, CONTEXT)
                assert time.monotonic() - began < on_a_busy_machine(20)
            assert await keys.unwrap(tenant, made.wrapped, CONTEXT) == made.plaintext

    async def test_a_tenant_is_destroyed_here_before_the_service_answers(
        self, kind: str, request: pytest.FixtureRequest, tmp_path: Path
    ) -> None:
        server: KeyServer = request.getfixturevalue(kind)
        tenant = uuid4()
        async for keys in opened(self.service(kind, server.url, 0.5), tmp_path):
            await keys.generate_data_key(tenant, CONTEXT)
            with server.hanging(), pytest.raises(KeyManagementUnavailable):
                await keys.destroy_tenant_key(tenant)
            record = TenantRecords(tmp_path).read(tenant)
            assert record is not None
            assert record.state is TenantState.DESTROYED
            await keys.destroy_tenant_key(tenant)


async def test_a_damaged_record_is_refused_without_showing_it(
    vault: KeyServer, tmp_path: Path
) -> None:
    tenant = uuid4()
    async for keys in opened(vault_service(vault.url), tmp_path):
        await keys.generate_data_key(tenant, CONTEXT)
        path = tmp_path / f"{tenant}.json"
        path.write_text(path.read_text().replace('"format"', '"secret-material"'))
        with pytest.raises(ConfigurationError, match="damaged") as refusal:
            await keys.generate_data_key(tenant, CONTEXT)
        assert "secret-material" not in str(refusal.value)
