"""What holds, locks and policies keep together, and what a sweep makes of it, in a few lines."""

from dataclasses import dataclass, field

from tests.api.hold_model import KEYS, Model


@dataclass
class ModelPolicy:
    """Of files with that label, or of all, from the day they came. `disposition`: none or delete."""

    label: str | None
    days: int
    disposition: str
    is_ended: bool = False


@dataclass
class ModelLock:
    mode: str
    until: int


@dataclass
class LawModel(Model):
    policies: dict[str, ModelPolicy] = field(default_factory=dict)
    locks: dict[str, ModelLock] = field(default_factory=dict)

    def own_policies(self, file_id: str) -> list[ModelPolicy]:
        """Those that fit it; of a file whose erasure has come to its names nothing is known."""
        file = self.files[file_id]
        labels = [] if file.step >= KEYS else file.labels
        return [
            each
            for each in self.policies.values()
            if not each.is_ended and (each.label is None or each.label in labels)
        ]

    def is_locked(self, file_id: str) -> bool:
        return any(
            each in self.locks and self.locks[each].until > self.day
            for each in self.lineage(file_id)
        )

    def is_retained(self, file_id: str) -> bool:
        return any(
            self.files[each].came_on + policy.days > self.day
            for each in self.lineage(file_id)
            for policy in self.own_policies(each)
        )

    def stops_version(self, file_id: str) -> bool:
        return bool(self.keepers(file_id)) or self.is_locked(file_id)

    def stops_deletion(self, file_id: str) -> bool:
        return self.stops_version(file_id) or self.is_retained(file_id)

    def wants_deletion(self, file_id: str) -> bool | None:
        """Whether all policies that have a say agree to it; None where none has."""
        own = self.own_policies(file_id)
        deciding = [each for each in own if each.label is not None] or own
        return all(each.disposition == "delete" for each in deciding) if deciding else None

    def sweep(self) -> list[str]:
        """Those whose erasure it orders, by name."""
        swept: list[str] = []
        for file_id, file in self.files.items():
            if file_id in swept or file.state not in ("visible", "trashed"):
                continue
            if self.stops_deletion(file_id) or not self.wants_deletion(file_id):
                continue
            members = self.with_members(file_id)[1:]
            if any(
                self.stops_deletion(each) or self.wants_deletion(each) is False for each in members
            ):
                continue
            swept += [
                each
                for each in (file_id, *members)
                if self.files[each].state in ("visible", "trashed")
            ]
        return swept
