"""Where content lies: object stores (`interface`), and sealed blobs in them (`blobs`)."""

from muniment.objects.blobs import BlobPlace, BlobStore, SealedBlob
from muniment.objects.filesystem import FilesystemObjectStore
from muniment.objects.interface import ObjectStore, StoredObject
from muniment.objects.s3 import S3_TLS, S3Limits, S3ObjectStore, connect_s3

__all__ = [
    "S3_TLS",
    "BlobPlace",
    "BlobStore",
    "FilesystemObjectStore",
    "ObjectStore",
    "S3Limits",
    "S3ObjectStore",
    "SealedBlob",
    "StoredObject",
    "connect_s3",
]
