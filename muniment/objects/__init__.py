"""Where content lies: object stores (`interface`), and sealed blobs in them (`blobs`)."""

from muniment.objects.blobs import BlobPlace, BlobStore, SealedBlob
from muniment.objects.filesystem import FilesystemObjectStore
from muniment.objects.interface import ObjectStore, Retrieval, StoredObject
from muniment.objects.s3 import S3_TLS, S3Limits, S3ObjectStore, connect_s3
from muniment.objects.s3_archive import S3Placement, StorageClass
from muniment.objects.sealed_texts import NewTextKey, SealedText, SealedTexts
from muniment.objects.tiers import BlobTiers, TieredObjectStore
from muniment.objects.wrapped_keys import WrappedKeyFolder

__all__ = [
    "S3_TLS",
    "BlobPlace",
    "BlobStore",
    "BlobTiers",
    "FilesystemObjectStore",
    "NewTextKey",
    "ObjectStore",
    "Retrieval",
    "S3Limits",
    "S3ObjectStore",
    "S3Placement",
    "SealedBlob",
    "SealedText",
    "SealedTexts",
    "StorageClass",
    "StoredObject",
    "TieredObjectStore",
    "WrappedKeyFolder",
    "connect_s3",
]
