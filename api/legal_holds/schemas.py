"""Legal holds as clients see them."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, model_validator

from api.files.schemas import Metadata
from api.storable_text import StorableText
from api.times import UtcTime
from db.models import LegalHold as HoldRecord
from db.models import LegalHoldCustodian, LegalHoldItem
from db.queries.legal_holds import ItemKind, Notice

MAX_CUSTODIANS = 200
MAX_ITEMS_AT_ONCE = 100

Words = Annotated[StorableText, Field(min_length=1, max_length=200)]
HoldState = Literal["active", "cooling_off", "released"]


class HeldQuery(BaseModel):
    """Files of the whole tenant that fit all that is given."""

    model_config = ConfigDict(extra="forbid")

    name_contains: Words | None = None
    media_type: Words | None = None
    label: Words | None = None
    metadata: Metadata | None = Field(default=None, min_length=1)
    collection_id: UUID | None = None
    created_from: AwareDatetime | None = Field(default=None, description="Included.")
    created_until: AwareDatetime | None = Field(default=None, description="Excluded.")

    @model_validator(mode="after")
    def _asks_something(self) -> "HeldQuery":
        if all(getattr(self, name) is None for name in type(self).model_fields):
            raise ValueError("a query says what it looks for")
        return self


class HeldSubject(BaseModel):
    """Files about somebody: whose metadata field has the value, or a list with it."""

    model_config = ConfigDict(extra="forbid")

    field: Words
    value: Words


class NewItem(BaseModel):
    """Exactly one of them. A file with all that came out of it; a collection with whatever comes into it; a
    query's and a subject's files as of now, and again at each review."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"query": {"label": "contract"}}},
    )

    file_id: UUID | None = None
    collection_id: UUID | None = None
    query: HeldQuery | None = None
    subject: HeldSubject | None = None

    @model_validator(mode="after")
    def _is_one(self) -> "NewItem":
        if sum(getattr(self, name) is not None for name in type(self).model_fields) != 1:
            raise ValueError("an item is one of file_id, collection_id, query and subject")
        return self

    @property
    def kind(self) -> ItemKind:
        if self.file_id is not None:
            return ItemKind.FILE
        if self.collection_id is not None:
            return ItemKind.COLLECTION
        return ItemKind.QUERY if self.query is not None else ItemKind.SUBJECT

    @property
    def terms(self) -> dict[str, JsonValue] | None:
        wanted = self.query or self.subject
        return None if wanted is None else wanted.model_dump(mode="json", exclude_none=True)


class NewItems(BaseModel):
    model_config = ConfigDict(extra="forbid")

    items: list[NewItem] = Field(min_length=1, max_length=MAX_ITEMS_AT_ONCE)


class NewHold(BaseModel):
    """A matter. Days that are absent are as the installation has them."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "matter": "Harbour v. Quay, 2026/17",
                "items": [{"query": {"label": "contract"}}],
                "custodians": [],
            }
        },
    )

    matter: Words
    items: list[NewItem] = Field(default=[], max_length=MAX_ITEMS_AT_ONCE)
    custodians: list[UUID] = Field(
        default=[], max_length=MAX_CUSTODIANS, description="Principals who must know of it."
    )
    cooling_off_days: int | None = Field(default=None, ge=0, le=3650)
    reminder_days: int | None = Field(default=None, ge=1, le=365)
    review_days: int | None = Field(default=None, ge=1, le=365)


class Item(BaseModel):
    id: UUID
    kind: ItemKind
    file_id: UUID | None
    collection_id: UUID | None
    terms: dict[str, JsonValue] | None
    added_by: UUID
    created_at: UtcTime

    @classmethod
    def of(cls, row: LegalHoldItem) -> "Item":
        return cls(
            id=row.id,
            kind=ItemKind(row.kind),
            file_id=row.file_id,
            collection_id=row.collection_id,
            terms=row.terms,
            added_by=row.added_by,
            created_at=row.created_at,
        )


class Custodian(BaseModel):
    """Who must know, and what became of it."""

    principal_id: UUID
    notified_at: UtcTime | None
    reminded_at: UtcTime | None
    reminders: int
    acknowledged_at: UtcTime | None

    @classmethod
    def of(cls, row: LegalHoldCustodian) -> "Custodian":
        return cls(
            principal_id=row.principal_id,
            notified_at=row.notified_at,
            reminded_at=row.reminded_at,
            reminders=row.reminders,
            acknowledged_at=row.acknowledged_at,
        )


class Hold(BaseModel):
    """A matter. `files` counts those that were written down: what lies in held collections, or came out of
    held files, is held besides. It goes on holding in `cooling_off`, until `cooling_ends_at`."""

    id: UUID
    matter: str
    state: HoldState
    files: int
    custodians: list[Custodian]
    placed_by: UUID
    cooling_off_days: int
    reminder_days: int
    review_days: int
    created_at: UtcTime
    reviewed_at: UtcTime
    confirmed_at: UtcTime | None
    confirmed_by: UUID | None
    released_at: UtcTime | None
    released_by: UUID | None
    cooling_ends_at: UtcTime | None

    @classmethod
    def of(
        cls, row: HoldRecord, state: HoldState, files: int, custodians: list[Custodian]
    ) -> "Hold":
        return cls(
            id=row.id,
            matter=row.matter,
            state=state,
            files=files,
            custodians=custodians,
            placed_by=row.placed_by,
            cooling_off_days=row.cooling_off_days,
            reminder_days=row.reminder_days,
            review_days=row.review_days,
            created_at=row.created_at,
            reviewed_at=row.reviewed_at,
            confirmed_at=row.confirmed_at,
            confirmed_by=row.confirmed_by,
            released_at=row.released_at,
            released_by=row.released_by,
            cooling_ends_at=row.cooling_ends_at,
        )


class HoldNotice(BaseModel):
    """What the caller, as a custodian, is told of a matter."""

    hold_id: UUID
    matter: str
    notified_at: UtcTime | None
    acknowledged_at: UtcTime | None

    @classmethod
    def of(cls, notice: Notice) -> "HoldNotice":
        return cls(
            hold_id=notice.hold_id,
            matter=notice.matter,
            notified_at=notice.notified_at,
            acknowledged_at=notice.acknowledged_at,
        )


class HoldNotices(BaseModel):
    """Of matters that are not released, newest first."""

    data: list[HoldNotice]


class MatterEvent(BaseModel):
    """A line of the export: an act of the audit trail."""

    id: UUID
    at: UtcTime
    actor_id: UUID | None
    actor_kind: str
    action: str
    object_type: str
    object_id: UUID | None
    request_id: str | None
    payload: dict[str, JsonValue]
