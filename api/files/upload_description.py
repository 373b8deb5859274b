"""How an upload's body looks, for the OpenAPI description: FastAPI does not parse it."""

from typing import Any

from api.files.schemas import MAX_PASSWORD_CHARACTERS

_FIELDS: dict[str, Any] = {
    "name": {"type": "string", "description": "The file's name; required with a raw body."},
    "collection": {
        "type": "string",
        "default": "default",
        "description": "Name or id of the collection.",
    },
    "metadata": {
        "type": "string",
        "description": "A JSON object; with a new version it is merged into the file's (RFC 7396).",
    },
    "priority": {"type": "integer", "minimum": 1, "maximum": 5, "default": 3},
    "on_conflict": {
        "type": "string",
        "enum": ["file", "version"],
        "default": "file",
        "description": "What a name that is taken by other content makes.",
    },
}

_PASSWORD: dict[str, Any] = {
    "type": "string",
    "format": "password",
    "maxLength": MAX_PASSWORD_CHARACTERS,
    "description": "Opens an encrypted document; destroyed when its job has ended.",
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
            "name": "X-Document-Password",
            "in": "header",
            "required": False,
            "schema": {"type": "string", "format": "password"},
            "description": "With a raw body: the password of an encrypted document.",
        },
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
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        **_FIELDS,
                        "password": _PASSWORD,
                    },
                }
            },
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    },
}
