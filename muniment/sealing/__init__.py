"""Sealing: FLOE for content, and the management of the keys that it needs.

`floe` is the format on disk, `keys` the promises of key management, `key_file` their
implementation for one machine; `remote_keys` is the one for a service elsewhere, which is
`vault_transit` or `aws_kms`, and `changing_keys` has tenants change from one to another. `key_cache` is the
short memory of unwrapped keys. `text_key` seals single texts for the database.
"""

from muniment.sealing.aws_kms import AwsAccess, AwsKms
from muniment.sealing.changing_keys import ChangingKeys, tenants_left
from muniment.sealing.floe import PRODUCTION, FloeParameters, Opener, Sealer
from muniment.sealing.key_cache import ExpiringCache
from muniment.sealing.key_file import KeyFile
from muniment.sealing.keys import DataKey, KeyManagement, KeyProvider, TenantState
from muniment.sealing.remote_keys import RemoteKeys
from muniment.sealing.tenant_records import TenantRecords
from muniment.sealing.text_key import TextKey
from muniment.sealing.vault_transit import VaultAccess, VaultTransit

__all__ = [
    "PRODUCTION",
    "AwsAccess",
    "AwsKms",
    "ChangingKeys",
    "DataKey",
    "ExpiringCache",
    "FloeParameters",
    "KeyFile",
    "KeyManagement",
    "KeyProvider",
    "Opener",
    "RemoteKeys",
    "Sealer",
    "TenantRecords",
    "TenantState",
    "TextKey",
    "VaultAccess",
    "VaultTransit",
    "tenants_left",
]
