"""What holds keep, in a few lines: files, what came out of them, and what keeps them until when."""

from dataclasses import dataclass, field

from activities.erasure.stores import STORES

PLAN, KEYS, FINISH = 0, len(STORES) + 1, len(STORES) + 2
"""Steps of an erasure; those between the plan and the keys are its stores."""
NO_RETURN = next(n for n, store in enumerate(STORES, start=1) if not store.can_be_rebuilt)
"""The step behind which a hold comes too late."""


@dataclass
class ModelFile:
    """`state`: `visible`, `trashed`, `restricted`, `erasing` or `erased`. `step`: what its erasure does
    next; `waits`: it was told that something keeps the file."""

    name: str
    collection: str
    parent: str | None
    contents: list[bytes]
    came_on: int = 0
    labels: list[str] = field(default_factory=list)
    state: str = "visible"
    trashed_on: int = 0
    step: int = PLAN
    waits: bool = False

    @property
    def is_past_return(self) -> bool:
        return self.step > NO_RETURN


@dataclass
class ModelKeeper:
    """Whatever keeps files until a day, here a hold. Another kind, as a lock, is one more such list of the
    model, with what it refuses."""

    id: str
    cooling_off_days: int
    files: set[str] = field(default_factory=set)
    collection: str | None = None
    ends_on: int | None = None


@dataclass
class Model:
    files: dict[str, ModelFile] = field(default_factory=dict)
    holds: dict[str, ModelKeeper] = field(default_factory=dict)
    day: int = 0
    moment: int = 0

    def keepers(self, file_id: str) -> set[str]:
        """The holds that keep the file, or what it came out of."""
        found, named = set[str](), self.lineage(file_id)
        for hold in self.holds.values():
            is_over = hold.ends_on is not None and hold.ends_on <= self.day
            lies_in = any(self.files[each].collection == hold.collection for each in named)
            if not is_over and (lies_in or hold.files & set(named)):
                found.add(hold.id)
        return found

    def lineage(self, file_id: str) -> list[str]:
        """The file, and what it came out of."""
        parent = self.files[file_id].parent
        return [file_id, *(self.lineage(parent) if parent else [])]

    def with_members(self, file_id: str) -> list[str]:
        """The file, and what came out of it."""
        return [each for each in self.files if file_id in self.lineage(each)]

    def any_kept(self, file_id: str) -> bool:
        """Whether the file, or what came out of it, may not be deleted."""
        return any(self.stops_deletion(each) for each in self.with_members(file_id))

    def stops_version(self, file_id: str) -> bool:
        return bool(self.keepers(file_id))

    def stops_deletion(self, file_id: str) -> bool:
        return bool(self.keepers(file_id))
