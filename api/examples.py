"""Examples for the OpenAPI description: of every body that is JSON, and of every type of problem.

A model's own examples (`json_schema_extra`) come first, then a field's, then what is usual under its
name, and at last what its type allows. What may be null is null where nothing better is known. A test
holds each to its schema.
"""

from collections.abc import Iterator
from typing import Any

from api.problems import MEDIA_TYPE
from muniment import errors
from muniment.errors import MunimentError

Schema = dict[str, Any]
"""A part of the OpenAPI description, as FastAPI makes it: JSON without a model of its own."""

_JSON = "application/json"
_PROBLEM_EXAMPLES = "#/components/examples/"
_DEEPEST = 8
"""Of models within models: none of ours is deeper, and one that holds itself ends there."""
_ID = "0198c5f2-7a3e-7c4b-9d51-0a6f4e2b8c11"
_TIME = "2026-11-20T12:00:00Z"

_BY_FORMAT = {
    "uuid": _ID,
    "date-time": _TIME,
    "binary": "…",
    "password": "correct horse battery",
}
_BY_NAME: dict[str, object] = {
    "access_token": "munat_…",
    "action": "file.created",
    "actor_kind": "principal",
    "api_key": "mun_…",
    "answer": "The lease ends in March 2027. [1]",
    "body": "Since when?",
    "bbox": [72.0, 90.0, 300.0, 104.0],
    "csrf_token": "q9Yc0mGm3mVQ",
    "database": "ClamAV 27012",
    "detail": "The file is in the trash.",
    "engine": "rapidocr",
    "engine_version": "3.4.0",
    "exact": "ends in March 2027",
    "issuer": "https://login.example.org/realms/staff",
    "media_type": "application/pdf",
    "name": "lease.pdf",
    "object_type": "file",
    "page": 1,
    "percent": 100.0,
    "prefix": "mun_3xAmPl3",
    "query": "when does the lease end?",
    "quote": "The lease ends in March 2027.",
    "refresh_token": "munrt_…",
    "request_id": "0198c5f2-8d11-7a52",
    "role": "content",
    "round": 1,
    "scope": "files:read files:write",
    "secret": "shown-once",
    "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "size": 48213,
    "subject": "5d1e2c3b-90aa-4f1c-9a61-3d4f0c2e8b77",
    "tenant": "default",
    "token": "munin_…",
    "text": "The lease ends in March 2027.",
    "ticket": "munst_…",
    "tier": "cold",
    "url": "https://example.com/hooks/muniment",
    "username": "ada@example.org",
    "version": 1,
    "workflow_id": f"ingest-file-{_ID}",
}
_BY_TYPE: dict[str, object] = {
    "string": "text",
    "integer": 1,
    "number": 1.0,
    "boolean": False,
    "null": None,
}


def add_examples(description: Schema) -> None:
    """Gives every body that is JSON an example, and every answer that is a problem its type's."""
    made = _Examples(description["components"]["schemas"])
    described = description["components"].setdefault("examples", {})
    by_status: dict[int, str] = {}
    for kind in problem_types():
        described[kind.problem] = {"summary": kind.title, "value": problem_example(kind)}
        by_status.setdefault(kind.status, kind.problem)
    for operations in description["paths"].values():
        for operation in operations.values():
            if isinstance(operation, dict):
                _complete(operation, made, by_status)


def problem_types() -> list[type[MunimentError]]:
    """One class of each type of problem; of several with one status the most general comes first."""
    found: dict[str, type[MunimentError]] = {}
    for kind in _with_subclasses(MunimentError):
        found.setdefault(kind.problem, kind)
    return list(found.values())


def _with_subclasses(kind: type[MunimentError]) -> Iterator[type[MunimentError]]:
    waiting = [kind]
    while waiting:
        each = waiting.pop(0)
        if each.__name__ in errors.__all__:
            yield each
        waiting += each.__subclasses__()


def problem_example(kind: type[MunimentError]) -> Schema:
    return {
        "type": f"urn:muniment:problem:{kind.problem}",
        "title": kind.title,
        "status": kind.status,
        "detail": kind.title,
        "remedy": kind.default_remedy,
        "request_id": str(_BY_NAME["request_id"]),
        "errors": [],
    }


def _complete(operation: Schema, made: "_Examples", by_status: dict[int, str]) -> None:
    _complete_content(operation.get("requestBody", {}), made, is_asked=True)
    for status, answer in operation["responses"].items():
        if str(status).startswith("2"):
            _complete_content(answer, made, is_asked=False)
            continue
        name = by_status.get(int(status))
        content = answer.get("content", {}).get(MEDIA_TYPE)
        if name is not None and content is not None:
            content["examples"] = {name: {"$ref": _PROBLEM_EXAMPLES + name}}


def _complete_content(described: Schema, made: "_Examples", *, is_asked: bool) -> None:
    content = described.get("content", {}).get(_JSON)
    if content is None or "example" in content or "examples" in content:
        return
    content["example"] = made.of(content.get("schema", {}), is_asked=is_asked)


class _Examples:
    """`schemas`: by name, what references point at."""

    def __init__(self, schemas: dict[str, Schema]) -> None:
        self._schemas = schemas

    def of(self, schema: Schema, *, is_asked: bool) -> object:
        """Of what is asked only what has to be there, where the model has no example of its own."""
        return self._of(schema, "", _DEEPEST, is_asked=is_asked)

    def _of(self, schema: Schema, name: str, depth: int, *, is_asked: bool) -> object:
        schema = self._resolved(schema)
        if "examples" in schema:
            return schema["examples"][0]
        if "example" in schema:
            return schema["example"]
        for choice in ("const", "enum"):
            if choice in schema:
                return schema[choice][0] if choice == "enum" else schema[choice]
        variants = schema.get("anyOf") or schema.get("oneOf")
        if variants:
            return self._of_one(variants, name, depth, is_asked=is_asked)
        return self._of_type(schema, name, depth, is_asked=is_asked)

    def _of_one(self, variants: list[Schema], name: str, depth: int, *, is_asked: bool) -> object:
        may_be_null = any(each.get("type") == "null" for each in variants)
        if may_be_null and name not in _BY_NAME:
            return None
        (first, *_) = (each for each in variants if each.get("type") != "null")
        return self._of(first, name, depth, is_asked=is_asked)

    def _of_type(self, schema: Schema, name: str, depth: int, *, is_asked: bool) -> object:
        kind = schema.get("type")
        if kind == "object" or "properties" in schema:
            return self._object(schema, depth, is_asked=is_asked)
        if kind == "array" and name not in _BY_NAME:
            return self._array(schema, name, depth, is_asked=is_asked)
        if schema.get("format") in _BY_FORMAT:
            return _BY_FORMAT[schema["format"]]
        if _fits(_BY_NAME.get(name), kind):
            return _BY_NAME[name]
        return schema.get("minimum", _BY_TYPE.get(str(kind), {}))

    def _object(self, schema: Schema, depth: int, *, is_asked: bool) -> Schema:
        required = schema.get("required", [])
        return {
            name: self._of(each, name, depth - 1, is_asked=is_asked)
            for name, each in schema.get("properties", {}).items()
            if name in required or (not is_asked and depth > 0)
        }

    def _array(self, schema: Schema, name: str, depth: int, *, is_asked: bool) -> list[object]:
        if "prefixItems" in schema:
            return [self._of(each, "", depth, is_asked=is_asked) for each in schema["prefixItems"]]
        if depth <= 0 or "items" not in schema:
            return []
        return [self._of(schema["items"], name.removesuffix("s"), depth - 1, is_asked=is_asked)]

    def _resolved(self, schema: Schema) -> Schema:
        while "$ref" in schema or len(schema.get("allOf", [])) == 1:
            inner = schema if "$ref" in schema else schema["allOf"][0]
            if "$ref" not in inner:
                return inner
            schema = self._schemas[inner["$ref"].rpartition("/")[2]]
        return schema


def _fits(value: object, kind: object) -> bool:
    """Whether what is usual under a name is of the type that is meant here."""
    if isinstance(value, str):
        return kind == "string"
    if isinstance(value, list):
        return kind == "array"
    return isinstance(value, int | float) and kind in ("integer", "number")
