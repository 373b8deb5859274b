"""Attachments of messages: MIME mail and Outlook's own format."""

import email.policy
import mimetypes
from collections.abc import Iterator
from email import message_from_binary_file
from email.message import EmailMessage, Message
from io import BytesIO

import oxmsg

from activities.members.member import Member
from activities.members.paths import MAXIMUM_PATH_CHARACTERS, clean_path
from activities.sandbox.content import Content

_MESSAGE = "message/rfc822"
_NOT_TAKEN = "it lies in the message in a way that cannot be read"


def mail_members(content: Content, _password: str | None) -> Iterator[Member]:
    """What a MIME message carries beside its text: parts with a name or sent as attachments, and
    messages in it. Pictures that its text shows are part of the text."""
    with content.open() as file:
        message = message_from_binary_file(file, policy=email.policy.default)
    for number, part in enumerate(_attached(message), start=1):
        yield Member(_name(part, number), lambda part=part: BytesIO(_payload(part)))  # type: ignore[misc] # bound now


def message_members(content: Content, _password: str | None) -> Iterator[Member]:
    """What an Outlook message carries; messages inside it, which are no bytes of their own, are
    named and refused."""
    with content.open() as file:
        message = oxmsg.Message.load(file)
        for number, attachment in enumerate(message.attachments, start=1):
            data = attachment.file_bytes if attachment.attached_by_value else None
            yield Member(
                _flat(attachment.file_name, f"attachment-{number}"),
                lambda data=data: BytesIO(data or b""),  # type: ignore[misc] # bound now
                _NOT_TAKEN if data is None else None,
                len(data or b""),
            )


def _attached(message: Message) -> Iterator[Message]:
    pending: list[Message] = [message]
    while pending:
        part = pending.pop()
        if part.get_content_maintype() == "multipart":
            parts = part.get_payload()
            if isinstance(parts, list):
                pending += [each for each in reversed(parts) if isinstance(each, Message)]
        elif part is not message and _is_attachment(part):
            yield part


def _is_attachment(part: Message) -> bool:
    disposition = part.get_content_disposition()
    if disposition == "attachment" or part.get_content_type() == _MESSAGE:
        return True
    shown_in_text = part.get_content_maintype() == "image" and "content-id" in part
    return part.get_filename() is not None and not shown_in_text


def _payload(part: Message) -> bytes:
    if part.get_content_type() == _MESSAGE:
        inner = part.get_payload()
        return inner[0].as_bytes() if isinstance(inner, list) and inner else b""  # type: ignore[union-attr] # a message's payload is messages
    data = part.get_payload(decode=True)
    return data if isinstance(data, bytes) else b""


def _name(part: Message, number: int) -> str:
    kind = part.get_content_type()
    extension = ".eml" if kind == _MESSAGE else mimetypes.guess_extension(kind) or ""
    fallback = f"attachment-{number}{extension}"
    name = part.get_filename()
    if name is None and kind == _MESSAGE:
        inner = part.get_payload()
        subject = (
            inner[0].get("subject")
            if isinstance(inner, list) and inner and isinstance(inner[0], EmailMessage)
            else None
        )
        name = f"{subject}.eml".replace("/", "-") if subject else None
    return _flat(name, fallback)


def _flat(name: str | None, fallback: str) -> str:
    """Attachments lie in no folders: what looks like a path is somebody's desktop, or an attack."""
    last = clean_path(name or "").rpartition("/")[2].strip()
    return last[-MAXIMUM_PATH_CHARACTERS:] if last not in ("", "..") else fallback
