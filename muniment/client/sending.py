"""Which way an upload goes."""

from muniment.client.actions import Flow
from muniment.client.models import File
from muniment.client.protocol import Protocol
from muniment.client.resumable_upload import is_sendable, send_resumably
from muniment.client.upload import Upload, opened, size_of
from muniment.client.whole_upload import send_whole

RESUMABLE_FROM_BYTES = 64 * 1024 * 1024
"""Below it, sending all of it again costs less than a resumable upload's second look at it."""


def send(protocol: Protocol, upload: Upload) -> Flow[File]:
    """Uploads a file, streamed from where it lies; the answer carries its job. What does not fit into
    headers (a long description, a password beyond ASCII) goes in one request."""
    with opened(upload) as content:
        size = size_of(content)
        is_resumable = upload.resumable
        if is_resumable is None:
            is_resumable = size >= RESUMABLE_FROM_BYTES
        if is_resumable and upload.version_of is None and is_sendable(upload):
            return (yield from send_resumably(protocol, upload, content, size))
        return (yield from send_whole(protocol, upload, content))
