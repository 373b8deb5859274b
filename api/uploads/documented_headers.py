"""How tus requests look, for the OpenAPI description: FastAPI does not parse their headers."""

from typing import Any

from api.uploads.protocol import CHECKSUM_ALGORITHMS, PIECE_TYPE, VERSION

_NUMBER: dict[str, Any] = {"type": "integer", "minimum": 0}
_TEXT: dict[str, Any] = {"type": "string"}


def _header(
    name: str, description: str, schema: dict[str, Any] = _TEXT, *, required: bool = False
) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": required,
        "schema": schema,
        "description": description,
    }


_VERSION = _header("Tus-Resumable", "The protocol's version.", {"const": VERSION}, required=True)
_LENGTH = _header("Upload-Length", "The file's size in bytes.", _NUMBER)
_PASSWORD = _header(
    "X-Document-Password",
    "With the request that ends the upload: opens an encrypted document; never kept longer than its"
    " job runs.",
    {"type": "string", "format": "password"},
)
_CHECKSUMS = [
    _header(
        "Upload-Checksum",
        f"Of this body: {', '.join(CHECKSUM_ALGORITHMS)}, a space, and the digest in base64. A body"
        " that does not fit it is discarded as a whole (460).",
    ),
    _header("Content-Digest", "RFC 9530, sha-256 or sha-512 of this body; verified likewise."),
]


def _piece(*, required: bool) -> dict[str, Any]:
    binary = {"schema": {"type": "string", "format": "binary"}}
    return {"required": required, "content": {PIECE_TYPE: binary}}


CREATION: dict[str, Any] = {
    "parameters": [
        _VERSION,
        _LENGTH,
        _header("Upload-Defer-Length", "`1` where the size is said later.", {"const": "1"}),
        _header(
            "Upload-Metadata",
            "Pairs of a key and a value in base64: `filename` (or `name`), `filetype` (the media type),"
            " `collection`, `metadata` (a JSON object), `priority`, `on_conflict`, as in POST /v1/files."
            " Other keys are refused.",
        ),
        _header(
            "Upload-Concat",
            "`partial`, or `final;` and the addresses of the partial uploads, in order, with spaces.",
        ),
        *_CHECKSUMS,
        _PASSWORD,
        _header("Idempotency-Key", "The first upload's address is answered again for 24 hours."),
    ],
    "requestBody": _piece(required=False),
}
CONTINUATION: dict[str, Any] = {
    "parameters": [
        _VERSION,
        _header("Upload-Offset", "Where this body begins.", _NUMBER, required=True),
        _LENGTH,
        *_CHECKSUMS,
        _PASSWORD,
    ],
    "requestBody": _piece(required=True),
}
PLAIN: dict[str, Any] = {"parameters": [_VERSION]}


def answer_headers(*names: str) -> dict[str, Any]:
    """For `responses`: the headers of these names."""
    known = {
        "Location": "The upload's address, relative to this one.",
        "Upload-Offset": "How much was stored durably.",
        "Upload-Length": "The file's size, where it is known.",
        "Upload-Expires": "Until when the upload waits for its next bytes.",
        "Muniment-File": "The id of the file, once the upload became one.",
    }
    return {name: {"description": known[name], "schema": {"type": "string"}} for name in names}
