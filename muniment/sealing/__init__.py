"""Sealing: FLOE for content, and the management of the keys that it needs.

`floe` is the format on disk, `keys` the promises of key management, `key_file` their
implementation for one machine, `key_cache` the short memory of unwrapped keys.
"""

from muniment.sealing.floe import PRODUCTION, FloeParameters, Opener, Sealer
from muniment.sealing.key_cache import ExpiringCache
from muniment.sealing.key_file import KeyFile
from muniment.sealing.keys import DataKey, KeyManagement

__all__ = [
    "PRODUCTION",
    "DataKey",
    "ExpiringCache",
    "FloeParameters",
    "KeyFile",
    "KeyManagement",
    "Opener",
    "Sealer",
]
