"""Verifies an exported trail against its checkpoints, and against older ones that somebody kept.

What is wrong is named by its place. An event that was changed no longer has the leaf hash that was kept with
it. Where that was changed as well, the first checkpoint that does not fit says between which two places: they
lie a few seconds apart.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from muniment.audit.checkpoints import Checkpoint, VerifierKey, is_of, opened
from muniment.audit.exported import AnyLine, ExportedCheckpoint, ExportedEvent
from muniment.audit.leaves import commitment_to
from muniment.audit.merkle import Frontier, leaf_hash
from muniment.errors import CheckpointInvalid


class Fault(StrEnum):
    """What is wrong with a trail at a place."""

    CHANGED = "changed"
    REMOVED = "removed"
    INSERTED = "inserted"
    REWRITTEN = "rewritten"
    """Events were changed, removed or inserted, and what was kept with them was fitted to that."""
    CHECKPOINT = "checkpoint-invalid"
    DETAILS_CHANGED = "details-changed"
    """Origin, payload or salt are not what the event's commitment stands for."""


@dataclass(frozen=True)
class Finding:
    """A fault at an event, or somewhere from `seq` up to `before`, which is not among them."""

    fault: Fault
    seq: int
    before: int
    event_id: UUID | None = None
    detail: str = ""


@dataclass(frozen=True)
class Verification:
    """What came of it. `events` were looked at; the checkpoints that fit cover the first `proven` of them.
    `first` is the first thing that is wrong with the tree; that of details is apart."""

    events: int
    proven: int
    checkpoints: int
    first: Finding | None
    commitments_sound: int
    commitments_erased: int
    commitments_wrong: int
    first_wrong_details: Finding | None

    @property
    def is_sound(self) -> bool:
        return self.first is None and self.first_wrong_details is None


class Verifier:
    """Takes the lines of an export in their order. `older`: notes that were kept elsewhere, which the trail
    has to fit as well. Raises CheckpointInvalid at once for one of those that is none."""

    def __init__(self, keys: Sequence[VerifierKey], older: Iterable[str] = ()) -> None:
        self._keys = keys
        self._kept = sorted((opened(note, keys) for note in older), key=lambda each: each.size)
        self._passed = 0
        self._frontier = Frontier()
        self._origin: str | None = self._kept[0].origin if self._kept else None
        self._tenant_id: UUID | None = None
        self._first: Finding | None = None
        self._proven = 0
        self._checkpoints = 0
        self._sound = self._erased = self._wrong = 0
        self._wrong_details: Finding | None = None
        for kept in self._kept:
            self._look_at_origin(kept)
        self._pass_kept()

    def take(self, line: AnyLine) -> None:
        if isinstance(line, ExportedCheckpoint):
            self._take_checkpoint(line.note)
        elif isinstance(line, ExportedEvent):
            self._take_event(line)
        else:
            size = self._frontier.size
            fault, detail = Fault.INSERTED, "it was never sealed"
            if line.is_removed:
                fault, detail = Fault.REMOVED, "before it was sealed"
            self._note(Finding(fault, size, size, line.id, detail=detail))

    def ended(self) -> Verification:
        """After the last line. A trail that no checkpoint covers to its end is suspect there."""
        size = self._frontier.size
        if self._kept and self._kept[-1].size > size:
            self._note(Finding(Fault.REMOVED, size, self._kept[-1].size))
        if not size and not self._checkpoints:
            self._note(Finding(Fault.CHECKPOINT, 0, 0, detail="there is no checkpoint"))
        if self._proven < size:
            detail = "no checkpoint covers these"
            self._note(Finding(Fault.INSERTED, self._proven, size, detail=detail))
        return Verification(
            events=size,
            proven=self._proven,
            checkpoints=self._checkpoints,
            first=self._first,
            commitments_sound=self._sound,
            commitments_erased=self._erased,
            commitments_wrong=self._wrong,
            first_wrong_details=self._wrong_details,
        )

    def _take_event(self, event: ExportedEvent) -> None:
        self._tenant_id = self._tenant_id or event.tenant_id
        expected = self._frontier.size
        if event.seq > expected:
            self._note(Finding(Fault.REMOVED, expected, event.seq))
        elif event.seq < expected:
            self._note(Finding(Fault.INSERTED, event.seq, event.seq + 1, event.id))
        leaf = event.leaf()
        if leaf is None:
            self._note(Finding(Fault.REMOVED, event.seq, event.seq + 1, event.id))
            self._frontier.append(event.leaf_hash)
        else:
            found = leaf_hash(leaf.canonical())
            if found != event.leaf_hash:
                self._note(Finding(Fault.CHANGED, event.seq, event.seq + 1, event.id))
            self._frontier.append(found)
            self._look_at_details(event)
        self._pass_kept()

    def _look_at_details(self, event: ExportedEvent) -> None:
        if event.salt is None and event.payload is None and event.origin is None:
            self._erased += 1
            return
        # They are erased together: what is left of some proves nothing.
        salt, payload = event.salt, event.payload
        if (
            salt is not None
            and payload is not None
            and commitment_to(salt, event.origin, payload) == event.commitment
        ):
            self._sound += 1
            return
        self._wrong += 1
        if self._wrong_details is None:
            self._wrong_details = Finding(Fault.DETAILS_CHANGED, event.seq, event.seq + 1, event.id)

    def _take_checkpoint(self, note: str) -> None:
        try:
            checkpoint = opened(note, self._keys)
            self._look_at_origin(checkpoint)
        except CheckpointInvalid as error:
            size = self._frontier.size
            self._note(Finding(Fault.CHECKPOINT, self._proven, size, detail=error.detail))
            return
        if checkpoint.size != self._frontier.size:
            fault = Fault.REMOVED if checkpoint.size > self._frontier.size else Fault.INSERTED
            first, last = sorted((checkpoint.size, self._frontier.size))
            self._note(Finding(fault, first, last))
            return
        self._compare(checkpoint)

    def _pass_kept(self) -> None:
        while self._passed < len(self._kept) and (
            (kept := self._kept[self._passed]).size == self._frontier.size
        ):
            self._compare(kept)
            self._passed += 1

    def _compare(self, checkpoint: Checkpoint) -> None:
        self._checkpoints += 1
        if self._frontier.root() == checkpoint.root:
            if self._first is None:
                self._proven = checkpoint.size
            return
        self._note(Finding(Fault.REWRITTEN, self._proven, checkpoint.size))

    def _look_at_origin(self, checkpoint: Checkpoint) -> None:
        """A checkpoint of another tenant's tree proves nothing of this one's."""
        if self._origin is None:
            self._origin = checkpoint.origin
        if checkpoint.origin != self._origin:
            raise CheckpointInvalid("a checkpoint is of another trail than those before it")
        if self._tenant_id is not None and not is_of(checkpoint.origin, self._tenant_id):
            raise CheckpointInvalid("a checkpoint is of another tenant's trail")

    def _note(self, finding: Finding) -> None:
        self._first = self._first or finding
