"""`/v1/alike-questions`: whether an answer is told again to a question that is nearly the same."""

from muniment.client.building import get, matching
from muniment.client.models import Tagged
from muniment.client.operations import AsyncResource, Operation, Resource
from muniment.client.parsing import read_model
from muniment.client.protocol import Call

_PATH = "/v1/alike-questions/policy"


class AlikeQuestionPolicy(Tagged):
    """`least_likeness`: the least cosine with the earlier question; None: of none."""

    least_likeness: float | None = None


def get_alike_question_policy() -> Call[AlikeQuestionPolicy]:
    return get(_PATH, AlikeQuestionPolicy)


def set_alike_question_policy(
    least_likeness: float | None, *, etag: str | None = None
) -> Call[AlikeQuestionPolicy]:
    """From .8 to 1; None turns it off."""
    return Call(
        "PUT",
        _PATH,
        read_model(AlikeQuestionPolicy),
        headers=matching(etag),
        json={"least_likeness": least_likeness},
    )


class AlikeQuestionOperations:
    """`/v1/alike-questions`."""

    policy = Operation(get_alike_question_policy)
    set_policy = Operation(set_alike_question_policy)


class AlikeQuestions(AlikeQuestionOperations, Resource):
    """`/v1/alike-questions`."""


class AsyncAlikeQuestions(AlikeQuestionOperations, AsyncResource):
    """`/v1/alike-questions`."""
