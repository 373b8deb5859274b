"""`/v1/synonyms`: words that mean the same in searches of the tenant."""

from collections.abc import Sequence

from muniment.client.building import matching
from muniment.client.models import Record, Tagged
from muniment.client.operations import AsyncResource, Operation, Resource
from muniment.client.parsing import read_model
from muniment.client.protocol import Call


class SynonymRule(Record):
    """Each of `words` finds the others; with `also` each finds those instead, which do not find it."""

    words: tuple[str, ...]
    also: tuple[str, ...] = ()


class SynonymList(Tagged):
    """All of the tenant's."""

    rules: tuple[SynonymRule, ...] = ()


def get_synonyms() -> Call[SynonymList]:
    return Call("GET", "/v1/synonyms", read_model(SynonymList))


def set_synonyms(rules: Sequence[SynonymRule], *, etag: str | None = None) -> Call[SynonymList]:
    """The whole list. With the `etag` of one that was read: PreconditionFailed if it has been changed
    since."""
    return Call(
        "PUT",
        "/v1/synonyms",
        read_model(SynonymList),
        json={
            "rules": [{"words": [*rule.words], "also": [*rule.also]} for rule in rules],
        },
        headers=matching(etag),
        repeatable=etag is None,
    )


class SynonymOperations:
    """`/v1/synonyms`."""

    get = Operation(get_synonyms)
    set = Operation(set_synonyms)


class Synonyms(SynonymOperations, Resource):
    """`/v1/synonyms`."""


class AsyncSynonyms(SynonymOperations, AsyncResource):
    """`/v1/synonyms`."""
