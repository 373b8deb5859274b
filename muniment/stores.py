"""Opens what API and workers must open in the same way: keys, sealed blobs, payload keys.

    keys root/tenants.json     the key file (or another key management later)
    keys root/payload.key      the keys of Temporal's payloads
    keys root/wrapped/…        wrapped data keys, one per blob
    keys root/erasures.jsonl   the erasure ledger
    objects root/…             ciphertexts; or objects/… in the S3 bucket

For composition roots: everything else is given what is opened here.
"""

from dataclasses import dataclass
from pathlib import Path
from ssl import SSLContext

from temporalio.converter import DataConverter

from muniment.errors import ConfigurationError
from muniment.objects import (
    S3_TLS,
    BlobStore,
    FilesystemObjectStore,
    ObjectStore,
    S3ObjectStore,
    connect_s3,
)
from muniment.objects.importing import (
    SOURCE_TLS,
    FolderImportSource,
    ImportSource,
    S3ImportSource,
)
from muniment.payloads import data_converter, load_payload_keys
from muniment.sealing import KeyFile, KeyManagement
from muniment.settings import ImportSource as ImportSourceSettings
from muniment.settings import ObjectSettings, Settings
from muniment.transport import ClientFiles, TlsSettings, client_context

KEY_FILE = "tenants.json"
PAYLOAD_KEY_FILE = "payload.key"
WRAPPED_KEYS = "wrapped"
S3_PREFIX = "objects/"
DEFAULT_REGION = "us-east-1"
"""What S3 stores without regions answer to."""
ERASURE_LEDGER = "erasures.jsonl"


@dataclass(frozen=True)
class Stores:
    """The keys and the sealed content of an installation."""

    keys: KeyManagement
    blobs: BlobStore
    erasure_ledger: Path


def open_stores(settings: Settings) -> Stores:
    """ConfigurationError when the settings cannot work; nothing is connected to yet."""
    root = settings.keys.root
    keys = KeyFile(root / KEY_FILE)
    blobs = BlobStore(
        _object_store(settings.objects), keys, FilesystemObjectStore(root / WRAPPED_KEYS)
    )
    return Stores(keys, blobs, root / ERASURE_LEDGER)


def open_import_sources(settings: Settings) -> dict[str, ImportSource]:
    """The places that the operator named, by their names; nothing is connected to yet."""
    return {source.name: _import_source(source) for source in settings.imports.sources}


def open_data_converter(settings: Settings) -> DataConverter:
    """Temporal's data converter; the payload key is made when it is missing."""
    return data_converter(load_payload_keys(settings.keys.root / PAYLOAD_KEY_FILE))


def _object_store(settings: ObjectSettings) -> ObjectStore:
    if settings.backend == "filesystem":
        return FilesystemObjectStore(settings.root)
    if not (settings.endpoint and settings.access_key and settings.secret_key):
        raise ConfigurationError(
            "the S3 store needs MUNIMENT_OBJECTS__ENDPOINT, __ACCESS_KEY and __SECRET_KEY"
        )
    client = connect_s3(
        settings.endpoint,
        settings.access_key.get_secret_value(),
        settings.secret_key.get_secret_value(),
        secure=settings.secure,
        region=settings.region or DEFAULT_REGION,
        tls=_verifying(settings, S3_TLS),
    )
    return S3ObjectStore(client, settings.bucket, S3_PREFIX)


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


def _verifying(settings: ObjectSettings | ImportSourceSettings, names: TlsSettings) -> SSLContext:
    """Who names an authority wants TLS: ConfigurationError where it is switched off."""
    if settings.ca_file is not None and not settings.secure:
        raise ConfigurationError(
            f"{names.authorities} is set, and `secure` is false for {names.connection}",
            remedy="Switch `secure` on, or take the file away.",
        )
    return client_context(ClientFiles(settings.ca_file), names)
