"""What the name of a file claims about its content."""

import mimetypes


def claimed_media_type(name: str) -> str | None:
    """The media type that the name's extension stands for. None where it stands for none, and where
    it says that the content is packed: `notes.txt.gz` is no text."""
    media_type, packing = mimetypes.guess_type(name)
    return media_type if packing is None else None
