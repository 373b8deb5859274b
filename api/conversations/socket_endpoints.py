"""`/v1/conversations/{conversation_id}/socket`, which OpenAPI has no words for: docs/conversations.md."""

from contextlib import ExitStack
from uuid import UUID

from fastapi import APIRouter, WebSocket

from api.conversations import service
from api.conversations.socket import ConversationSocket
from api.problems import problem_response
from api.services import Services
from api.sockets.handshake import require_at_handshake
from muniment.errors import MunimentError

router = APIRouter(prefix="/v1/conversations")


@router.websocket("/{conversation_id}/socket")
async def converse(websocket: WebSocket, conversation_id: UUID) -> None:
    """What is refused is answered with a problem, as every other request."""
    services = websocket.app.state.services
    assert isinstance(services, Services)  # noqa: S101 - set by create_application
    with ExitStack() as held:
        try:
            caller = await require_at_handshake(websocket, services, "search")
            held.enter_context(services.sockets.take(caller.principal_id))
            held.enter_context(services.events.slots.take())
            async with services.database.transaction(caller.access) as session:
                found = await service.require_conversation(session, caller, conversation_id)
        except MunimentError as error:
            await websocket.send_denial_response(problem_response(error))
            return
        await websocket.accept()
        await ConversationSocket(websocket, services, caller, found).serve()
