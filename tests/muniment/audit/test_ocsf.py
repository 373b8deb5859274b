"""The trail in OCSF: every name of an event has its class, and what is told has what the schema requires."""

import ast
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from muniment.audit.exported import ExportedEvent
from muniment.audit.ocsf import CLASS_OF, EventClass, mapping_of, ocsf_event

ROOT = Path(__file__).parents[3]
RECORDING = ("api", "activities", "worker", "db")
NAME = re.compile(r"[a-z_]+\.[a-z_]+")

# The published classes of 1.3.0: what they require beside the base event, and their activities.
REQUIRED = {
    3001: {"user"},
    3002: {"user"},
    3004: {"entity"},
    3006: {"group"},
    6003: {"actor", "api", "src_endpoint"},
    6006: {"actor", "file", "src_endpoint"},
}
BASE = {"activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid"}
LAST_ACTIVITY = {3001: 12, 3002: 6, 3004: 13, 3006: 6, 6003: 4, 6006: 17}
# Of each of these objects at least one has to be there, or all of those that it requires.
ONE_OF = {
    "actor": {"app_name", "user"},
    "user": {"name", "uid"},
    "src_endpoint": {"ip", "name"},
    "entity": {"name", "uid"},
    "group": {"name", "uid"},
}
ALL_OF = {"file": {"name", "type_id"}, "api": {"operation"}, "metadata": {"product", "version"}}


def recorded_names() -> set[str]:
    """Names that are given where an act is recorded, by all that does."""
    found: set[str] = set()
    for folder in RECORDING:
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and called(node).lower() in {"act", "_act"}:
                    given = [*node.args, *(each.value for each in node.keywords)]
                    found |= {
                        part.value
                        for each in given[:2]
                        for part in ast.walk(each)
                        if isinstance(part, ast.Constant)
                        and isinstance(part.value, str)
                        and NAME.fullmatch(part.value)
                    }
    return found


def called(node: ast.Call) -> str:
    match node.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


NAMES = sorted(recorded_names())


def event(action: str, **given: Any) -> ExportedEvent:
    fields: dict[str, Any] = {
        "seq": 7,
        "id": UUID(int=1),
        "leaf_hash": b"",
        "commitment": b"",
        "tenant_id": UUID(int=2),
        "at": datetime(2026, 1, 2, 3, 4, 5, 678_901, UTC),
        "actor_id": UUID(int=3),
        "actor_kind": "principal",
        "action": action,
        "object_type": "file",
        "object_id": UUID(int=4),
        "origin": "192.0.2.7",
        "payload": {"n": 1},
        "salt": b"salt",
    }
    return ExportedEvent(**(fields | given))


def require_valid(told: dict[str, Any]) -> None:
    uid = told["class_uid"]
    assert told.keys() >= BASE | REQUIRED[uid]
    assert told["category_uid"] == uid // 1000
    assert told["type_uid"] == uid * 100 + told["activity_id"]
    assert told["activity_id"] == 99 or 1 <= told["activity_id"] <= LAST_ACTIVITY[uid]
    if uid == EventClass.AUTHENTICATION:
        assert told["service"]["name"]
    for name, some in ONE_OF.items():
        assert name not in told or told[name].keys() & some
    for name, every in ALL_OF.items():
        assert name not in told or told[name].keys() >= every


def test_the_names_of_events_are_found() -> None:
    assert len(NAMES) > 100
    assert {"file.downloaded", "audit.details_erased", "legal_hold.placed"} <= set(NAMES)


@pytest.mark.parametrize("action", NAMES)
def test_every_name_is_told(action: str) -> None:
    assert action.partition(".")[0] in CLASS_OF
    for actor in (
        {},
        {"actor_id": None, "actor_kind": "system", "origin": None},
        {"actor_id": None, "actor_kind": "visitor", "object_id": None},
        {"origin": None, "payload": None, "salt": None},
    ):
        told = ocsf_event(event(action, **actor))
        assert told is not None
        require_valid(told)


@pytest.mark.parametrize(
    ("action", "type_uid"),
    [
        ("file.downloaded", 600602),
        ("file.trashed", 600604),
        ("share.created", 600612),
        ("principal.created", 300101),
        ("password.changed", 300103),
        ("sign_in.began", 300201),
        ("group.member_added", 300603),
        ("legal_hold.placed", 300401),
        ("webhook.deleted", 300404),
        ("search.performed", 600302),
        ("audit.details_erased", 600304),
        ("of_a.later_release", 600399),
    ],
)
def test_acts_are_what_they_are_in_ocsf(action: str, type_uid: int) -> None:
    mapping = mapping_of(action)
    assert mapping.event_class * 100 + mapping.activity_id == type_uid


def test_an_event_says_who_and_where_and_which_request() -> None:
    told: Any = ocsf_event(event("file.downloaded", request_id="request-1"))
    assert told["actor"] == {"user": {"uid": str(UUID(int=3)), "type_id": 1}}
    assert told["src_endpoint"] == {"ip": "192.0.2.7"}
    assert told["time"] == 1767323045678
    assert told["metadata"]["correlation_uid"] == "request-1"
    assert told["metadata"]["sequence"] == 7
    assert told["unmapped"]["payload"] == {"n": 1}
    assert ocsf_event(event("", is_removed=True, at=None)) is None
