"""An export is verified by whoever has no more than it and a key: any byte of an event that is changed, and
any event that is removed or inserted, is found, and the first of them named."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from muniment.audit.checkpoints import Checkpoint, CheckpointSigner, origin_of
from muniment.audit.exported import LINES, ExportedCheckpoint, ExportedEvent
from muniment.audit.leaves import Leaf, commitment_to
from muniment.audit.merkle import Frontier, leaf_hash
from muniment.audit.verification import Fault, Finding, Verification, Verifier

SIGNER = CheckpointSigner("muniment.test", Ed25519PrivateKey.from_private_bytes(b"k" * 32))
TENANT = UUID(int=7)
MOMENT = datetime(2026, 1, 31, 12, tzinfo=UTC)
EVENTS, EVERY = 23, 5
Line = dict[str, Any]


def sealed(seq: int, **changed: object) -> ExportedEvent:
    """An event as a sealer would have taken it in."""
    fields: dict[str, Any] = {
        "seq": seq,
        "id": UUID(int=100 + seq),
        "tenant_id": TENANT,
        "at": MOMENT + timedelta(seconds=seq),
        "actor_id": UUID(int=9),
        "actor_kind": "principal",
        "action": "file.opened",
        "object_type": "file",
        "object_id": UUID(int=seq),
        "request_id": f"request-{seq}",
        "workflow_id": None,
        "origin": "192.0.2.1",
        "payload": {"version": seq, "big": 2**60 + seq, "share": 0.5, "names": ["é", "\x7f"]},
        "salt": bytes([seq]) * 16,
        **changed,
    }
    fields["commitment"] = commitment_to(fields["salt"], fields["origin"], fields["payload"])
    event = ExportedEvent.model_validate({**fields, "leaf_hash": b""})
    leaf = event.leaf()
    assert leaf is not None
    return event.model_copy(update={"leaf_hash": leaf_hash(leaf.canonical())})


def note(events: list[ExportedEvent]) -> str:
    frontier = Frontier()
    for event in events:
        frontier.append(event.leaf_hash)
    origin = origin_of(SIGNER.name, TENANT)
    return SIGNER.sign(Checkpoint(origin, frontier.size, frontier.root()))


def trail(events: list[ExportedEvent]) -> list[Line]:
    """Lines as JSON has them, with a checkpoint behind every fifth event and the last."""
    lines: list[Line] = []
    for number, event in enumerate(events, 1):
        lines.append(json.loads(event.model_dump_json()))
        if number % EVERY == 0 or number == len(events):
            lines.append({"kind": "checkpoint", "note": note(events[:number])})
    return lines


SEALED = [sealed(seq) for seq in range(EVENTS)]
TRAIL = trail(SEALED)


def verified(lines: list[Line], *older: str) -> Verification:
    verifier = Verifier([SIGNER.verifier_key], older)
    for line in lines:
        verifier.take(LINES.validate_json(json.dumps(line)))
    return verifier.ended()


def place_of(seq: int) -> int:
    """Where in the trail's lines the event is."""
    return seq + seq // EVERY


def copied() -> list[Line]:
    return [dict(line) for line in TRAIL]


def test_a_sound_trail_is_sound() -> None:
    found = verified(TRAIL, note(SEALED[:3]), note(SEALED[:20]), note([]))
    assert found.is_sound
    assert (found.events, found.proven, found.commitments_sound) == (EVENTS, EVENTS, EVENTS)
    assert found.checkpoints == 5 + 3


def test_the_canonical_leaf_is_rfc_8785s() -> None:
    strings = ['"\\/', "\x00\x1f\b\f\n\r\t", "é\u2028\U0001f600", "\x7f", ""]
    for text in strings:
        leaf = sealed(3, action=text, request_id=text, workflow_id=text).leaf()
        assert leaf is not None
        assert rfc8785.dumps(json.loads(leaf.canonical())) == leaf.canonical()
    empty = sealed(4, actor_id=None, object_id=None, request_id=None).leaf()
    assert isinstance(empty, Leaf)
    assert rfc8785.dumps(json.loads(empty.canonical())) == empty.canonical()


LEAF_FIELDS = (
    "actor_kind",
    "action",
    "object_type",
    "request_id",
    "commitment",
    "leaf_hash",
    "tenant_id",
    "object_id",
    "actor_id",
    "id",
    "at",
)


@given(st.integers(0, EVENTS - 1), st.sampled_from(LEAF_FIELDS), st.data())
def test_any_character_of_an_event_that_is_changed_is_found_where_it_is(
    seq: int, field: str, data: st.DataObject
) -> None:
    lines = copied()
    line = lines[place_of(seq)]
    text = line[field]
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from("0123456789abcdefXYZ"))
    line[field] = text[:place] + other + text[place + 1 :]
    try:
        event = LINES.validate_json(json.dumps(line))
    except ValueError:
        return  # it is no line of an export any more
    if event == LINES.validate_json(json.dumps(TRAIL[place_of(seq)])):
        return  # the same, written otherwise
    found = verified(lines).first
    assert found is not None
    assert (found.fault, found.seq) == (Fault.CHANGED, seq)


@given(st.integers(0, EVENTS - 1), st.sampled_from(("payload", "origin", "salt")))
def test_changed_details_are_told_apart(seq: int, field: str) -> None:
    lines = copied()
    line = lines[place_of(seq)]
    line[field] = {"payload": {"version": 99}, "origin": "192.0.2.2", "salt": "AAAA"}[field]
    found = verified(lines)
    assert found.first is None
    assert found.commitments_wrong == 1
    assert found.first_wrong_details is not None
    assert found.first_wrong_details.seq == seq


def test_erased_details_leave_the_proof() -> None:
    lines = copied()
    lines[0].update(payload=None, origin=None, salt=None)
    found = verified(lines)
    assert found.is_sound
    assert (found.commitments_erased, found.commitments_sound) == (1, EVENTS - 1)


@pytest.mark.parametrize(
    "forged",
    [
        {"salt": None, "payload": {"forged": True}, "origin": None},
        {"salt": None, "payload": None, "origin": "203.0.113.9"},
        {"payload": None, "origin": None},
    ],
)
def test_details_that_are_half_erased_are_changed_ones(forged: Line) -> None:
    lines = copied()
    lines[place_of(7)].update(forged)
    found = verified(lines)
    assert not found.is_sound
    assert (found.commitments_wrong, found.commitments_erased) == (1, 0)


def test_a_trail_under_checkpoints_of_another_tenant_is_not_sound() -> None:
    other = UUID(int=8)
    events = [sealed(seq, tenant_id=other) for seq in range(3)]
    found = verified(trail(events)).first
    assert found is not None
    assert found.fault is Fault.CHECKPOINT


def test_an_event_that_was_removed_before_it_was_sealed_is_told() -> None:
    gone = {"kind": "unplaced", "id": str(UUID(int=5)), "is_removed": True}
    found = verified([*copied(), gone]).first
    assert found is not None
    assert (found.fault, found.event_id) == (Fault.REMOVED, UUID(int=5))


@given(st.integers(0, EVENTS - 1))
def test_a_removed_event_is_named(seq: int) -> None:
    lines = copied()
    del lines[place_of(seq)]
    found = verified(lines).first
    assert found is not None
    assert (found.fault, found.seq) == (Fault.REMOVED, seq)
    lines = copied()
    lines[place_of(seq)].update(is_removed=True, at=None)
    found = verified(lines).first
    assert found == Finding(Fault.REMOVED, seq, seq + 1, UUID(int=100 + seq))


@given(st.integers(0, EVENTS - 1))
def test_an_inserted_event_is_named(seq: int) -> None:
    lines = copied()
    lines.insert(place_of(seq) + 1, dict(lines[place_of(seq)], id=str(UUID(int=1))))
    found = verified(lines).first
    assert found is not None
    assert (found.fault, found.seq, found.event_id) == (Fault.INSERTED, seq, UUID(int=1))


@given(st.integers(0, EVENTS - 1))
def test_an_event_that_was_fitted_to_its_hash_is_found_between_two_checkpoints(seq: int) -> None:
    lines = copied()
    lines[place_of(seq)] = json.loads(sealed(seq, action="file.listed").model_dump_json())
    found = verified(lines).first
    assert found is not None
    assert found.fault is Fault.REWRITTEN
    assert found.seq <= seq < found.before <= found.seq + EVERY


def test_a_trail_that_was_rewritten_and_signed_anew_does_not_fit_an_old_checkpoint() -> None:
    rewritten = trail([sealed(seq, action="file.listed") for seq in range(EVENTS)])
    assert verified(rewritten).is_sound
    found = verified(rewritten, note(SEALED[:7])).first
    assert found is not None
    assert (found.fault, found.before) == (Fault.REWRITTEN, 7)


def test_a_trail_that_was_cut_short_does_not_fit_an_old_checkpoint() -> None:
    found = verified(trail(SEALED[:10]), note(SEALED[:15])).first
    assert found == Finding(Fault.REMOVED, 10, 15)


@pytest.mark.parametrize("kept", [EVENTS - 1, 0])
def test_what_no_checkpoint_covers_is_told(kept: int) -> None:
    lines = [line for line in TRAIL if line["kind"] == "event"]
    if kept:
        lines.insert(kept, {"kind": "checkpoint", "note": note(SEALED[:kept])})
    found = verified(lines).first
    assert found is not None
    assert (found.fault, found.seq, found.before) == (Fault.INSERTED, kept, EVENTS)


def test_checkpoints_of_another_key_or_trail_prove_nothing() -> None:
    other = CheckpointSigner("muniment.test", Ed25519PrivateKey.generate())
    lines = copied()
    origin = origin_of("muniment.test", UUID(int=8))
    frontier = Frontier()
    for event in SEALED[:EVERY]:
        frontier.append(event.leaf_hash)
    for signer, name in ((other, origin_of("muniment.test", TENANT)), (SIGNER, origin)):
        forged = signer.sign(Checkpoint(name, EVERY, frontier.root()))
        lines[EVERY] = {"kind": "checkpoint", "note": forged}
        found = verified(lines, note(SEALED[:1])).first
        assert found is not None
        assert found.fault is Fault.CHECKPOINT
    assert isinstance(LINES.validate_python(lines[EVERY]), ExportedCheckpoint)
