"""Opens what API and workers must open in the same way: keys, sealed blobs, payload keys.

    keys root/tenants.json     the key file, where no key management elsewhere wraps
    keys root/tenants/…        else what is remembered of each tenant's key, by provider
    keys root/payload.key      the keys of Temporal's payloads
    keys root/wrapped/…        wrapped data keys, one per blob
    keys root/erasures.jsonl   the erasure ledger
    keys root/audit-signing.pem  the keys that sign the audit trail's checkpoints
    keys root/marks/…          which stores were marked as the two tiers
    objects root/…             ciphertexts; or objects/… in the S3 bucket
    cold store root/…          likewise, of what is seldom asked for; or objects/… in its bucket
    audit copies root/…        signed checkpoints in the second place; or objects/… in its bucket

For composition roots: everything else is given what is opened here.
"""

from dataclasses import dataclass
from pathlib import Path
from ssl import SSLContext

from temporalio.converter import DataConverter

from muniment.contracts.move_tier import Tier
from muniment.errors import ConfigurationError
from muniment.key_providers import open_keys
from muniment.objects import (
    S3_TLS,
    BlobStore,
    BlobTiers,
    FilesystemObjectStore,
    ObjectStore,
    S3ObjectStore,
    S3Placement,
    StorageClass,
    TieredObjectStore,
    WrappedKeyFolder,
    connect_s3,
)
from muniment.objects.importing import (
    SOURCE_TLS,
    FolderImportSource,
    ImportSource,
    S3ImportSource,
)
from muniment.objects.marks import StoreMark
from muniment.payload_keys import PayloadKeyFile, load_payload_keys
from muniment.payloads import data_converter
from muniment.sealing import ChangingKeys, KeyManagement
from muniment.settings import (
    AuditCopiesSettings,
    ColdStoreSettings,
    ObjectSettings,
    Settings,
)
from muniment.settings import ImportSource as ImportSourceSettings
from muniment.transport import ClientFiles, TlsSettings, client_context

PAYLOAD_KEY_FILE = "payload.key"
WRAPPED_KEYS = "wrapped"
S3_PREFIX = "objects/"
MARKS = "marks"
DEFAULT_REGION = "us-east-1"
"""What S3 stores without regions answer to."""
ERASURE_LEDGER = "erasures.jsonl"
AUDIT_KEY_FILE = "audit-signing.pem"


@dataclass(frozen=True)
class Stores:
    """The keys and the sealed content of an installation; `tiers` where it has a cold store, `changing`
    where its keys come from another provider: the same as `keys`."""

    keys: KeyManagement
    blobs: BlobStore
    erasure_ledger: Path
    tiers: BlobTiers | None = None

    @property
    def changing(self) -> ChangingKeys | None:
        return self.keys if isinstance(self.keys, ChangingKeys) else None


def open_stores(settings: Settings) -> Stores:
    """ConfigurationError when the settings cannot work; nothing is connected to yet."""
    root = settings.keys.root
    keys = open_keys(settings.keys)
    wrapped_keys = WrappedKeyFolder(root / WRAPPED_KEYS)
    hot = _object_store(settings.objects, "OBJECTS")
    if settings.cold_store.backend is None:
        return Stores(keys, BlobStore(hot, keys, wrapped_keys), root / ERASURE_LEDGER)
    cold = _object_store(settings.cold_store, "COLD_STORE")
    marks = {
        Tier.HOT: StoreMark(hot, Tier.HOT, root / MARKS, _place(settings.objects)),
        Tier.COLD: StoreMark(cold, Tier.COLD, root / MARKS, _place(settings.cold_store)),
    }
    opened = {
        Tier.HOT: BlobStore(hot, keys, wrapped_keys),
        Tier.COLD: BlobStore(cold, keys, wrapped_keys),
    }
    blobs = BlobStore(TieredObjectStore(hot, cold, marks[Tier.COLD]), keys, wrapped_keys)
    return Stores(keys, blobs, root / ERASURE_LEDGER, BlobTiers(hot, cold, marks, opened))


def open_audit_copies(settings: AuditCopiesSettings) -> ObjectStore | None:
    """Where checkpoints are copied to, if anywhere; nothing is connected to yet."""
    return None if settings.backend is None else _object_store(settings, "AUDIT_COPIES")


def open_import_sources(settings: Settings) -> dict[str, ImportSource]:
    """The places that the operator named, by their names; nothing is connected to yet."""
    return {source.name: _import_source(source) for source in settings.imports.sources}


def open_data_converter(settings: Settings) -> DataConverter:
    """Temporal's data converter, which sees the payload key rotated; it is made when it is missing."""
    path = settings.keys.root / PAYLOAD_KEY_FILE
    file = PayloadKeyFile(path)  # before it is read: a change in between is seen
    return data_converter(load_payload_keys(path), file)


def _object_store(
    settings: ObjectSettings | ColdStoreSettings | AuditCopiesSettings, group: str
) -> ObjectStore:
    if settings.backend == "filesystem":
        if settings.root is None or (group != "OBJECTS" and not settings.root.is_absolute()):
            raise ConfigurationError(
                f"MUNIMENT_{group}__ROOT is not an absolute path",
                remedy="Name the folder from the root on, the same for API and workers.",
            )
        return FilesystemObjectStore(settings.root)
    if not (settings.endpoint and settings.access_key and settings.secret_key):
        raise ConfigurationError(
            f"the S3 store needs MUNIMENT_{group}__ENDPOINT, __ACCESS_KEY and __SECRET_KEY"
        )
    client = connect_s3(
        settings.endpoint,
        settings.access_key.get_secret_value(),
        settings.secret_key.get_secret_value(),
        secure=settings.secure,
        region=settings.region or DEFAULT_REGION,
        tls=_verifying(settings, S3_TLS),
    )
    placement = _placement(settings) if isinstance(settings, ColdStoreSettings) else None
    return S3ObjectStore(client, settings.bucket, S3_PREFIX, placement=placement)


def _placement(settings: ColdStoreSettings) -> S3Placement:
    storage_class = StorageClass(settings.storage_class)
    if storage_class is StorageClass.DEEP_ARCHIVE and settings.retrieval_tier == "Expedited":
        raise ConfigurationError(
            "nothing is retrieved from DEEP_ARCHIVE by Expedited",
            remedy="Set MUNIMENT_COLD_STORE__RETRIEVAL_TIER to Standard or Bulk.",
        )
    return S3Placement(storage_class, settings.retrieval_days, settings.retrieval_tier)


def _place(settings: ObjectSettings | ColdStoreSettings) -> str:
    """Where the store is, by whatever name it has now."""
    if settings.backend == "filesystem":
        return str(settings.root and settings.root.resolve())
    return f"{settings.endpoint}/{settings.bucket}"


def _import_source(settings: ImportSourceSettings) -> ImportSource:
    if settings.folder is not None:
        return FolderImportSource(settings.folder)
    if not (settings.endpoint and settings.bucket and settings.access_key and settings.secret_key):
        raise ConfigurationError(f"the import source {settings.name} is incomplete")
    client = connect_s3(
        settings.endpoint,
        settings.access_key.get_secret_value(),
        settings.secret_key.get_secret_value(),
        secure=settings.secure,
        region=settings.region or DEFAULT_REGION,
        tls=_verifying(settings, SOURCE_TLS),
    )
    prefix = settings.prefix.strip("/")
    return S3ImportSource(client, settings.bucket, f"{prefix}/" if prefix else "")


def _verifying(
    settings: ObjectSettings | ColdStoreSettings | AuditCopiesSettings | ImportSourceSettings,
    names: TlsSettings,
) -> SSLContext:
    """Who names an authority wants TLS: ConfigurationError where it is switched off."""
    if settings.ca_file is not None and not settings.secure:
        raise ConfigurationError(
            f"{names.authorities} is set, and `secure` is false for {names.connection}",
            remedy="Switch `secure` on, or take the file away.",
        )
    return client_context(ClientFiles(settings.ca_file), names)
