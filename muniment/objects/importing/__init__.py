"""Where files are imported from: places that the operator named, read and never written."""

from muniment.objects.importing.folder import FolderImportSource
from muniment.objects.importing.interface import FoundObject, ImportSource, is_usable_key
from muniment.objects.importing.s3 import SOURCE_TLS, S3ImportSource

__all__ = [
    "SOURCE_TLS",
    "FolderImportSource",
    "FoundObject",
    "ImportSource",
    "S3ImportSource",
    "is_usable_key",
]
