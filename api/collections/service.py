"""Collections: making, changing, deleting."""

from uuid import UUID

from pydantic import JsonValue, TypeAdapter
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from api.collections.schemas import (
    LOST_WITH_ENCRYPTED_TEXT,
    Collection,
    CollectionChange,
    NewCollection,
    Visibility,
)
from api.files.preserved import require_deletable_collection
from api.levels import lacks_level
from api.preconditions import require_match
from db.audit import record
from db.models import Collection as CollectionRecord
from db.queries import collections
from db.session import Database
from muniment.contracts.language_models import ModelUse
from muniment.contracts.text_modes import TextMode
from muniment.errors import Conflict, NotFound

VISIBILITY: TypeAdapter[Visibility] = TypeAdapter(Visibility)
TAKEN = "another collection has this name"
LET_GO_AT_ONCE = 10_000
"""Erased files that one transaction takes out of a collection: well within what a statement may take."""


def collection_view(found: CollectionRecord) -> Collection:
    is_sealed = found.text_mode == TextMode.ENCRYPTED_TEXT
    return Collection(
        id=found.id,
        name=found.name,
        visibility=VISIBILITY.validate_python(found.visibility),
        text_mode=TextMode(found.text_mode),
        limitations=[*LOST_WITH_ENCRYPTED_TEXT] if is_sealed else [],
        language_models=ModelUse(found.language_models),
        owner_id=found.owner_id,
        created_at=found.created_at,
    )


def entity_tag(found: CollectionRecord) -> str:
    return f'"{found.revision}"'


async def require_collection(
    session: AsyncSession, collection_id: UUID, level: str = "read", *, for_update: bool = False
) -> CollectionRecord:
    found = await collections.get_collection(
        session, collection_id, level=level, for_update=for_update
    )
    if found is not None:
        return found
    if level != "read" and await collections.get_collection(session, collection_id) is not None:
        raise lacks_level(level, "collection")
    raise NotFound("there is no such collection")


async def create(
    session: AsyncSession,
    caller: Caller,
    body: NewCollection,
    attributes: dict[str, JsonValue] | None = None,
) -> CollectionRecord:
    """The caller owns it. `attributes` are for clients of vector stores. Raises Conflict when the name is
    taken."""
    made = CollectionRecord(
        tenant_id=caller.tenant_id,
        name=body.name,
        visibility=body.visibility,
        text_mode=body.text_mode,
        language_models=body.language_models or _unasked_use(body.text_mode),
        attributes=attributes or {},
        owner_id=caller.principal_id,
    )
    session.add(made)
    await _flush_unique(session)
    payload: dict[str, JsonValue] = {
        "text_mode": made.text_mode,
        "language_models": made.language_models,
    }
    record(session, caller.act("collection.created", "collection", made.id, payload))
    return made


async def change(
    session: AsyncSession,
    caller: Caller,
    if_match: str | None,
    collection_id: UUID,
    body: CollectionChange,
    attributes: dict[str, JsonValue] | None = None,
) -> CollectionRecord:
    """`attributes`, where they are given, take the place of the present ones."""
    found = await require_collection(session, collection_id, "manage", for_update=True)
    require_match(if_match, entity_tag(found))
    if body.name is not None:
        found.name = body.name
    if body.visibility is not None:
        found.visibility = body.visibility
    if body.text_mode is not None and body.text_mode != found.text_mode:
        await _change_text_mode(session, found, body.text_mode)
        if body.text_mode is TextMode.ENCRYPTED_TEXT:
            # On the way back it stays: whoever forbade models a text has not allowed them the next.
            found.language_models = ModelUse.NONE
    if body.language_models is not None:
        found.language_models = body.language_models
    changed = set(body.model_fields_set)
    if attributes is not None:
        found.attributes = attributes
        changed.add("metadata")
    found.revision += 1
    await _flush_unique(session)
    payload: dict[str, JsonValue] = {"fields": [*sorted(changed)]}
    for field in {"text_mode", "language_models"} & body.model_fields_set:
        payload[field] = getattr(found, field)
    record(session, caller.act("collection.changed", "collection", collection_id, payload))
    return found


async def delete(database: Database, caller: Caller, collection_id: UUID) -> None:
    """Only an empty one: files in the trash count, what remains of erased ones does not, and is let go of
    before. Whoever is interrupted in that leaves the rest to the next. An import into the collection that
    is under way takes in no more."""
    async with database.transaction(caller.access) as session:
        await require_collection(session, collection_id, "manage", for_update=True)
        if await collections.holds_content(session, collection_id):
            raise _holds_files()
    is_deleted = False
    while not is_deleted:
        async with database.transaction(caller.access) as session:
            is_deleted = await _delete_or_come_closer(session, caller, collection_id)


async def _delete_or_come_closer(
    session: AsyncSession, caller: Caller, collection_id: UUID
) -> bool:
    """Whether it is deleted: not while more erased files may be left in it."""
    found = await require_collection(session, collection_id, "manage", for_update=True)
    await require_deletable_collection(session, collection_id)
    let_go = await collections.let_go_of_erased_files(session, collection_id, LET_GO_AT_ONCE)
    if let_go == LET_GO_AT_ONCE:
        return False
    await session.delete(found)
    try:
        await session.flush()
    except IntegrityError as error:
        # A file came into it since it was looked for.
        raise _holds_files() from error
    record(session, caller.act("collection.deleted", "collection", collection_id))
    return True


async def _change_text_mode(
    session: AsyncSession, found: CollectionRecord, text_mode: TextMode
) -> None:
    """The collection is locked: whatever is put into it meanwhile comes after. So no file is ever read
    under another mode than its collection's."""
    if await collections.holds_content(session, found.id):
        raise Conflict(
            f"the collection holds files, whose text is kept as `{found.text_mode}`",
            remedy="Make a collection with that `text_mode`, upload the files to it, and erase them here.",
        )
    found.text_mode = text_mode


def _unasked_use(text_mode: TextMode) -> ModelUse:
    """Whoever seals a text has not thereby said that a model may read it."""
    return ModelUse.NONE if text_mode is TextMode.ENCRYPTED_TEXT else ModelUse.ANY


def _holds_files() -> Conflict:
    return Conflict(
        "the collection holds files",
        remedy="Move its files to another collection, or erase them; look in the trash too.",
    )


async def _flush_unique(session: AsyncSession) -> None:
    try:
        await session.flush()
    except IntegrityError as error:
        raise Conflict(TAKEN) from error
