"""The engine `unpack`: hands out a container's members."""

from activities.members.calls import MemberPiece, UnpackOutcome, UnpackRequest
from activities.members.member import Member
from activities.members.walk import Budget, members_of, pieces_of
from activities.sandbox.registry import EngineContext, engine
from muniment.errors import DamagedDocument, EncryptedDocument, LimitExceeded


@engine("unpack")
def unpack(request: UnpackRequest, context: EngineContext) -> UnpackOutcome:
    """Raises LimitExceeded as soon as more comes out than may. A member that cannot be read keeps
    its ordinal: with another password it may be read, and the others' must not change by that."""
    content = context.content
    budget = Budget(content.size_bytes, request.total_bytes)
    taken = refused = 0
    for member in members_of(content, request.media_type, request.password):
        if member.refusal is not None:
            refused += 1
            continue
        if taken >= request.entries:
            raise LimitExceeded("The archive, with all that is in it, has too many entries.")
        if not _hand_out(member, taken, budget, context):
            refused += 1
        taken += 1
    return UnpackOutcome(taken=taken, refused=refused)


def _hand_out(member: Member, ordinal: int, budget: Budget, context: EngineContext) -> bool:
    """Whether all of the member could be read."""
    try:
        for piece in pieces_of(member, budget):
            context.report(MemberPiece(ordinal=ordinal, path=member.path, content=piece))
    except (DamagedDocument, EncryptedDocument):
        context.report(MemberPiece(ordinal=ordinal, path=member.path, is_abandoned=True))
        return False
    context.report(MemberPiece(ordinal=ordinal, path=member.path, is_last=True))
    return True
