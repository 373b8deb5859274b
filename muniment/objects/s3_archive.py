"""Storage classes of S3: what is cheaper to keep, and what has to be retrieved before it can be read
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/restoring-objects.html)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from muniment.objects.interface import Retrieval

RetrievalTier = Literal["Expedited", "Standard", "Bulk"]
"""How fast, and how dear: of GLACIER minutes, hours, half a day."""

Headers = dict[str, str | list[str] | tuple[str]]
"""What the `minio` client takes as headers."""
CLASS_HEADER = "x-amz-storage-class"
RESTORE_HEADER = "x-amz-restore"
COPIED_BYTES = 512 * 1024**2
"""What one request copies within S3, which takes 5 GiB at most: seconds, within a request's time-out."""


class StorageClass(StrEnum):
    STANDARD = "STANDARD"
    STANDARD_IA = "STANDARD_IA"
    ONEZONE_IA = "ONEZONE_IA"
    GLACIER_IR = "GLACIER_IR"
    GLACIER = "GLACIER"
    DEEP_ARCHIVE = "DEEP_ARCHIVE"

    @property
    def is_archive(self) -> bool:
        """Whether an object of this class has to be retrieved before it is read."""
        return self in (StorageClass.GLACIER, StorageClass.DEEP_ARCHIVE)


@dataclass(frozen=True)
class S3Placement:
    """In which class objects are put; of an archive, for how many days and how fast they come out."""

    storage_class: StorageClass = StorageClass.STANDARD
    retrieval_days: int = 7
    retrieval_tier: RetrievalTier = "Standard"

    def put_headers(self) -> Headers:
        """What is put into an archive has to be read and compared first, and goes there after that."""
        if self.storage_class is StorageClass.STANDARD or self.storage_class.is_archive:
            return {}
        return {CLASS_HEADER: self.storage_class}

    def restore_request(self) -> bytes:
        """The body of RestoreObject."""
        return (
            '<RestoreRequest xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Days>{self.retrieval_days}</Days>"
            f"<GlacierJobParameters><Tier>{self.retrieval_tier}</Tier></GlacierJobParameters>"
            "</RestoreRequest>"
        ).encode()


def retrieval_of(headers: Mapping[str, str]) -> Retrieval:
    """By the headers of HeadObject."""
    kept_as = headers.get(CLASS_HEADER, StorageClass.STANDARD)
    if kept_as not in (StorageClass.GLACIER, StorageClass.DEEP_ARCHIVE):
        return Retrieval.READABLE
    restored = headers.get(RESTORE_HEADER, "")
    if 'ongoing-request="true"' in restored:
        return Retrieval.IN_PROGRESS
    if 'ongoing-request="false"' in restored:
        return Retrieval.RETRIEVED
    return Retrieval.ARCHIVED
