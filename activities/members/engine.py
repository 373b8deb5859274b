"""The engine `unpack`: hands out a container's members."""

from activities.members.calls import MemberPiece, UnpackOutcome, UnpackRequest
from activities.members.walk import Budget, members_of, pieces_of
from activities.sandbox.registry import EngineContext, engine
from muniment.errors import LimitExceeded


@engine("unpack")
def unpack(request: UnpackRequest, context: EngineContext) -> UnpackOutcome:
    """Raises LimitExceeded as soon as more comes out than may."""
    content = context.content
    budget = Budget(content.size_bytes, request.total_bytes)
    taken = refused = 0
    for member in members_of(content, request.media_type, request.password):
        if member.refusal is not None:
            refused += 1
            continue
        if taken >= request.entries:
            raise LimitExceeded("The archive, with all that is in it, has too many entries.")
        for piece in pieces_of(member, budget):
            context.report(MemberPiece(ordinal=taken, path=member.path, content=piece))
        context.report(MemberPiece(ordinal=taken, path=member.path, is_last=True))
        taken += 1
    return UnpackOutcome(taken=taken, refused=refused)
