"""Subject, sender and date of messages: MIME mail and Outlook's own format."""

from email import policy
from email.headerregistry import AddressHeader, DateHeader, HeaderRegistry
from email.parser import BytesHeaderParser

import oxmsg

from activities.inspect.metadata import Metadata, describe
from activities.read.text_encoding import decode_text, encoding_of
from activities.sandbox.content import Content

_HEAD_BYTES = 256 * 1024
_LONGEST_HEADER = 2_000
"""The standard library takes the square of a header's length to read addresses."""
_WANTED = ("subject", "from", "date")


def mail_metadata(content: Content) -> Metadata:
    """A name counts before the address that it belongs to."""
    head = content.head(_HEAD_BYTES)
    if (encoding_of(head) or "").startswith(("utf-16", "utf-32")):
        head = decode_text(head).encode()
    headers = BytesHeaderParser(policy=policy.compat32).parsebytes(head)
    found: dict[str, object] = {}
    for name, value in headers.raw_items():
        if name.lower() in _WANTED and name.lower() not in found:
            found[name.lower()] = _header(name, value)
    subject, date = found.get("subject"), found.get("date")
    return describe(
        str(subject) if subject is not None else None,
        _senders(found.get("from")),
        date.datetime.isoformat() if isinstance(date, DateHeader) and date.datetime else None,
    )


def message_metadata(content: Content) -> Metadata:
    with content.open() as file:
        message = oxmsg.Message.load(file)
        sender, sent = message.sender, message.sent_date
    return describe(
        message.subject,
        _senders(_header("from", sender or "")),
        sent.isoformat(timespec="seconds") if sent is not None else None,
    )


def _header(name: str, value: str) -> object:
    """Decoded; bytes beyond ASCII are read as UTF-8 (RFC 6532)."""
    written = value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return HeaderRegistry()(name, "".join(written.splitlines())[:_LONGEST_HEADER])


def _senders(header: object) -> list[str]:
    if not isinstance(header, AddressHeader):
        return []
    return [address.display_name or address.addr_spec for address in header.addresses]
