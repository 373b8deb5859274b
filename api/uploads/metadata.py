"""`Upload-Metadata`: the fields of an upload, as a form's, in base64."""

import base64
import binascii
from dataclasses import dataclass

from api.files.passwords import PASSWORD_HEADER
from api.files.reception import last_component, plain_media_type, upload_fields
from api.files.schemas import UploadFields
from muniment.errors import InvalidRequest, Unprocessable, WrongField

_NAMES = ("name", "filename")
_MEDIA_TYPES = ("filetype", "type")
_MEANINGLESS = ("relativePath",)
"""Sent by client libraries of their own accord."""
PASSWORD_IN_METADATA = (
    "the metadata is kept until the upload ends: send the password in the header"
    f" {PASSWORD_HEADER} of the request that ends it"
)


@dataclass(frozen=True)
class Description:
    """What the file is to be called, and where it goes."""

    fields: UploadFields
    media_type: str


def describe(header: str, password: str | None = None) -> Description:
    """Raises InvalidRequest for a malformed header, and Unprocessable naming the fields that are
    wrong, as an upload in one piece does."""
    raw = decode(header)
    if "password" in raw:
        wrong: list[WrongField] = [{"field": "password", "detail": PASSWORD_IN_METADATA}]
        raise Unprocessable(PASSWORD_IN_METADATA, errors=wrong)
    names = [last_component(raw.pop(name)) for name in _NAMES if name in raw]
    media_types = [raw.pop(name) for name in _MEDIA_TYPES if name in raw]
    for name in _MEANINGLESS:
        raw.pop(name, None)
    if any(names):
        raw["name"] = next(name for name in names if name)
    if password:
        raw["password"] = password
    return Description(upload_fields(raw), plain_media_type(next(iter(media_types), None)))


def decode(header: str) -> dict[str, str]:
    """Keys and values. Raises InvalidRequest."""
    values: dict[str, str] = {}
    for pair in header.split(",") if header.strip() else ():
        key, _, encoded = pair.strip().partition(" ")
        if not key or not key.isascii() or key in values:
            raise InvalidRequest(
                "Upload-Metadata has a key that is empty, no ASCII, or there twice"
            )
        try:
            values[key] = base64.b64decode(encoded.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise InvalidRequest(f"Upload-Metadata's {key} is no UTF-8 text in base64") from None
    return values
