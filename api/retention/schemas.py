"""Retention as clients see it."""

from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    model_validator,
)

from api.files.schemas import Metadata
from api.storable_text import StorableText
from api.times import UtcTime
from db.models import RetentionLock, RetentionPolicy
from db.queries.preservation import Keeping
from db.queries.preservation_kinds import Preservation, PreservationKind
from muniment.contracts.retention import Disposition, LockMode, Trigger

MAX_DAYS = 36_600
_FIRST, _LAST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2500, 1, 1, tzinfo=UTC)


def _in_range(value: datetime) -> datetime:
    if not _FIRST <= value <= _LAST:
        raise ValueError(f"a time lies between the years {_FIRST.year} and {_LAST.year}")
    return value


Time = Annotated[AwareDatetime, AfterValidator(_in_range)]
Words = Annotated[StorableText, Field(min_length=1, max_length=200)]
Reason = Annotated[
    StorableText | None,
    Field(
        min_length=1,
        max_length=1_000,
        description="Why a governance lock is bypassed; the audit trail keeps it.",
    ),
]


class NewPolicy(BaseModel):
    """Of files that fit all that is given of `collection_id`, `media_type` (or `image/*`), `label` and
    `metadata`; nothing of them: of every file of the tenant."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "name": "Contracts, ten years after their end",
                "label": "contract",
                "trigger": "event",
                "event_field": "ended_on",
                "days": 3653,
                "disposition": "review",
            }
        },
    )

    name: Words
    collection_id: UUID | None = None
    media_type: str | None = Field(
        default=None,
        max_length=255,
        pattern=r"^[a-z0-9!#$&^_.+-]+/(\*|[a-z0-9!#$&^_.+-]+)$",
        description="In small letters; `image/*` for all of a kind.",
    )
    label: Words | None = None
    metadata: Metadata | None = Field(default=None, min_length=1, max_length=20)
    trigger: Trigger = Field(
        default=Trigger.CREATION,
        description="What the days are counted from. `event`: the date (ISO 8601) in the metadata field"
        " `event_field`; a file without one is kept.",
    )
    event_field: Words | None = None
    days: int = Field(ge=0, le=MAX_DAYS)
    lock_mode: LockMode | None = Field(
        default=None,
        description="Whether its files are locked besides: `governance` may be shortened by whoever has the"
        " scope `retention:bypass`, `compliance` by nobody.",
    )
    disposition: Disposition = Field(
        default=Disposition.NONE, description="What is due when nothing keeps a file any more."
    )
    relabel_to: Words | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> "NewPolicy":
        if (self.trigger is Trigger.EVENT) != (self.event_field is not None):
            raise ValueError("event_field goes with the trigger `event`")
        if (self.disposition is Disposition.RELABEL) != (self.relabel_to is not None):
            raise ValueError("relabel_to goes with the disposition `relabel`")
        return self


class ChangedPolicy(NewPolicy):
    """The whole policy, as it is to be."""

    reason: Reason = None


class EndedPolicy(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {}})

    reason: Reason = None


class Policy(BaseModel):
    id: UUID
    name: str
    collection_id: UUID | None
    media_type: str | None
    label: str | None
    metadata: dict[str, JsonValue] | None
    trigger: Trigger
    event_field: str | None
    days: int
    lock_mode: LockMode | None
    disposition: Disposition
    relabel_to: str | None
    created_by: UUID
    created_at: UtcTime
    updated_at: UtcTime
    ended_at: UtcTime | None = Field(description="From then on it keeps nothing.")
    ended_by: UUID | None

    @classmethod
    def of(cls, row: RetentionPolicy) -> "Policy":
        return cls(
            metadata=row.attributes, **row.model_dump(include={*cls.model_fields} - {"metadata"})
        )


class WantedLock(BaseModel):
    """A lock of one file, whatever policies say. Shortening a governance lock, also to a time that has
    passed, needs `reason`."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"mode": "governance", "retain_until": "2036-01-01T00:00:00Z"}
        },
    )

    mode: LockMode
    retain_until: Time
    reason: Reason = None

    @property
    def is_too_long(self) -> bool:
        return self.retain_until > datetime.now(UTC) + timedelta(days=MAX_DAYS)


class Lock(BaseModel):
    """That was placed on the file itself; it may have ended."""

    mode: LockMode
    retain_until: UtcTime
    placed_by: UUID
    created_at: UtcTime
    updated_at: UtcTime

    @classmethod
    def of(cls, row: RetentionLock) -> "Lock":
        return cls(**row.model_dump(include={*cls.model_fields}))


class Claim(BaseModel):
    """What keeps the file, or kept it until `until` (null: nobody can say). `reference` is the hold, the
    policy, or the file that has the lock: this one, or one that it came out of."""

    kind: PreservationKind
    reference: UUID
    until: UtcTime | None

    @classmethod
    def of(cls, found: Preservation) -> "Claim":
        return cls(kind=found.kind, reference=found.reference, until=found.until)


class FileRetention(BaseModel):
    """What keeps the file at `as_of`, and what becomes of it then: files, policies, locks and holds as they
    are now. `claims` are in their order of precedence; the file is kept until the last of them has ended.
    `disposition` is what its policies agree on (`deciding`), and `is_due` where nothing keeps it any more."""

    as_of: UtcTime
    kept: bool
    retain_until: UtcTime | None
    indefinite: bool
    disposition: Disposition
    disposition_at: UtcTime | None
    delete_at: UtcTime | None
    relabel_to: str | None
    deciding: list[UUID]
    is_due: bool
    lock: Lock | None
    claims: list[Claim]

    @classmethod
    def of(
        cls,
        keeping: Keeping,
        lock: RetentionLock | None,
        as_of: datetime,
    ) -> "FileRetention":
        holds, judged = keeping.holds, keeping.judgement
        return cls(
            as_of=as_of,
            kept=bool(holds or judged.standing(as_of)),
            retain_until=judged.retain_until,
            indefinite=judged.is_indefinite,
            disposition=judged.disposition,
            disposition_at=judged.disposition_at,
            delete_at=judged.delete_at,
            relabel_to=judged.relabel_to,
            deciding=[*judged.deciding],
            is_due=judged.is_due and not holds,
            lock=Lock.of(lock) if lock else None,
            claims=[Claim.of(each) for each in (*holds, *judged.claims)],
        )
