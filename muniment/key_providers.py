"""Opens what wraps data keys: the provider that the settings name, and those that were it before.

    keys root/tenants.json            the key file
    keys root/tenants/<provider>/…    what is remembered of each tenant's key with a provider elsewhere

For composition roots, as `muniment.stores`.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from uuid import UUID

from muniment.errors import ConfigurationError, KeyManagementUnavailable
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
    tenants_left,
)
from muniment.settings import KeyProviderSettings, KeySettings

KEY_FILE = "tenants.json"
TENANT_RECORDS = "tenants"
PROVIDERS = ("file", "vault", "aws")


def open_keys(settings: KeySettings) -> KeyManagement:
    """ConfigurationError where a provider is missing that tenants' keys still lie with."""
    _refuse_missing(settings)
    current = _provider(settings.root, settings)
    if not settings.former:
        return current
    former: dict[str, KeyProvider] = {
        each.provider: _provider(settings.root, each) for each in settings.former
    }
    return ChangingKeys(current, former)


def _refuse_missing(settings: KeySettings) -> None:
    if any((settings.root / TENANT_RECORDS).glob("*.json")):
        raise ConfigurationError(
            "the tenants' key records lie where they did before providers could be changed",
            remedy=f"Stop all processes and move them from {TENANT_RECORDS}/ to"
            f" {TENANT_RECORDS}/<provider>/ in the folder of keys: docs/keys.md.",
        )
    named = {settings.provider, *(former.provider for former in settings.former)}
    current = _recorded(settings.root, settings.provider)
    for provider in PROVIDERS:
        if provider in named:
            continue
        left = tenants_left(_recorded(settings.root, provider), current)
        if left:
            raise ConfigurationError(
                f"MUNIMENT_KEYS__PROVIDER is `{settings.provider}`, and the keys of {len(left)}"
                f" tenants are still with `{provider}`: what is sealed under them could not be read",
                remedy=f"Name `{provider}` in MUNIMENT_KEYS__FORMER until `/readyz` says that it may"
                " go: docs/keys.md.",
            )


def _recorded(root: Path, provider: str) -> Mapping[UUID, TenantState]:
    """What the folder of keys knows of the provider's tenants; nothing is connected to."""
    if provider == "file":
        return KeyFile(root / KEY_FILE).states()
    return _records(root, provider).states()


def _records(root: Path, provider: str) -> TenantRecords:
    return TenantRecords(root / TENANT_RECORDS / provider)


def _provider(root: Path, settings: KeyProviderSettings) -> KeyProvider:
    if settings.provider == "file":
        return KeyFile(root / KEY_FILE)
    service = _aws_kms(settings) if settings.provider == "aws" else _vault(settings)
    return RemoteKeys(service, _records(root, settings.provider))


def _vault(settings: KeyProviderSettings) -> VaultTransit:
    access = VaultAccess(
        settings.address or "",
        partial(_vault_token, settings),
        mount=settings.mount.strip("/"),
        namespace=settings.namespace,
        ca_file=settings.ca_file,
        timeout_seconds=settings.timeout_seconds,
    )
    return VaultTransit(access)


def _vault_token(settings: KeyProviderSettings) -> str:
    if settings.token_file is None:
        return settings.token.get_secret_value() if settings.token else ""
    try:
        return settings.token_file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise KeyManagementUnavailable(
            f"the file with Vault's token cannot be read ({type(error).__name__})",
            remedy="See that MUNIMENT_KEYS__TOKEN_FILE (of a former provider: `token_file` in"
            " MUNIMENT_KEYS__FORMER) names it, and that Muniment's user may read it.",
        ) from None


def _aws_kms(settings: KeyProviderSettings) -> AwsKms:
    access_key, secret_key = settings.access_key, settings.secret_key
    access = AwsAccess(
        settings.region or "",
        endpoint=settings.address,
        access_key=access_key.get_secret_value() if access_key else None,
        secret_key=secret_key.get_secret_value() if secret_key else None,
        timeout_seconds=settings.timeout_seconds,
    )
    return AwsKms(access)
