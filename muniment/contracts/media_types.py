"""What the name of a file claims about its content."""

import mimetypes

UNKNOWN_MEDIA_TYPE = "application/octet-stream"


def claimed_media_type(name: str) -> str | None:
    """The media type that the name's extension stands for. None where it stands for none, and where
    it says that the content is packed: `notes.txt.gz` is no text."""
    media_type, packing = mimetypes.guess_type(name)
    return media_type if packing is None else None


def media_type_of_name(name: str) -> str:
    """The media type that the name claims, else that of any bytes."""
    return claimed_media_type(name) or UNKNOWN_MEDIA_TYPE
