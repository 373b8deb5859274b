"""How an upload's body looks, for the OpenAPI description: FastAPI does not parse it."""

from typing import Any

_FIELDS: dict[str, Any] = {
    "name": {"type": "string", "description": "The file's name; required with a raw body."},
    "collection": {
        "type": "string",
        "default": "default",
        "description": "Name or id of the collection.",
    },
    "metadata": {"type": "string", "description": "A JSON object."},
    "priority": {"type": "integer", "minimum": 1, "maximum": 5, "default": 3},
    "on_conflict": {
        "type": "string",
        "enum": ["file", "version"],
        "default": "file",
        "description": "What a name that is taken by other content makes.",
    },
}

UPLOAD: dict[str, Any] = {
    "parameters": [
        *(
            {
                "name": name,
                "in": "query",
                "required": False,
                "schema": {key: value for key, value in field.items() if key != "description"},
                "description": f"With a raw body. {field.get('description', '')}".strip(),
            }
            for name, field in _FIELDS.items()
        ),
        {
            "name": "Content-Digest",
            "in": "header",
            "required": False,
            "schema": {"type": "string"},
            "description": "RFC 9530, sha-256 or sha-512; verified. `Repr-Digest` likewise.",
        },
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "schema": {"type": "string", "maxLength": 255},
            "description": "The first answer is given again for 24 hours.",
        },
    ],
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}, **_FIELDS},
                }
            },
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    },
}
