"""`/v1/keys/rotations`."""

import asyncio
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends

from api.authentication import Caller, require
from api.key_rotations.schemas import KeyRotation
from api.pagination import (
    DEFAULT_LIMIT,
    Cursor,
    Limit,
    Page,
    TimeCursor,
    cut,
    decode_cursor,
    encode_cursor,
)
from api.problem_responses import problems
from api.services import Provided
from db.audit import record
from db.models import new_id
from db.queries import key_rotations
from muniment.contracts.rotate_keys import RotateKeysInput
from muniment.errors import Forbidden, NotFound, OrchestratorUnavailable
from workflows.starting import start_key_rotation

router = APIRouter(prefix="/v1/keys/rotations", tags=["keys"])

Manager = Annotated[Caller, Depends(require("encryption:manage"))]


@router.post(
    "",
    status_code=202,
    summary="Rotate the tenant's key",
    responses=problems(503),
)
async def rotate_keys(services: Provided, caller: Manager) -> KeyRotation:
    """For administrators. One that is at work answers with itself."""
    if not caller.is_admin:
        raise Forbidden(
            "the tenant's key is rotated by an administrator",
            remedy="Ask an administrator of the tenant.",
        )
    async with services.database.transaction(caller.access) as session:
        rotation = await key_rotations.open_rotation(session, caller.tenant_id, new_id())
        view = KeyRotation.of(rotation)
        record(session, caller.act("keys.rotation_requested", "key_rotation", rotation.id))
    temporal = services.temporal
    request = RotateKeysInput(tenant_id=caller.tenant_id, rotation_id=view.id)
    try:
        async with asyncio.timeout(temporal.start_timeout_seconds):
            # Also for one that was there: whoever made it may have died before starting it.
            await start_key_rotation(temporal.client, request)
    except (TimeoutError, RuntimeError) as error:
        # RuntimeError: what the SDK raises when its first connection fails.
        raise OrchestratorUnavailable("Temporal did not start the rotation.") from error
    return view


@router.get("", summary="List rotations of the tenant's key", responses=problems(400))
async def list_key_rotations(
    services: Provided, caller: Manager, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[KeyRotation]:
    """Newest first."""
    place = decode_cursor(TimeCursor, cursor)
    async with services.database.transaction(caller.access) as session:
        rows = await key_rotations.list_rotations(
            session, limit=limit + 1, after=place.key() if place else None
        )
    shown, last = cut(rows, limit)
    following = TimeCursor(at=last.created_at, id=last.id) if last else None
    return Page(
        data=[KeyRotation.of(row) for row in shown],
        next_cursor=encode_cursor(following) if following else None,
    )


@router.get(
    "/{rotation_id}",
    summary="Show a rotation of the tenant's key, and how far it has come",
    responses=problems(404),
)
async def show_key_rotation(services: Provided, caller: Manager, rotation_id: UUID) -> KeyRotation:
    async with services.database.transaction(caller.access) as session:
        rotation = await key_rotations.get_rotation(session, rotation_id)
    if rotation is None:
        raise NotFound("there is no such rotation")
    return KeyRotation.of(rotation)
