"""The calls about annotations and activity, and their faces on both clients."""

from collections.abc import Mapping, Sequence

import httpx
from pydantic import JsonValue

from muniment.client.annotations import ActivityEntry, Annotation, Comment
from muniment.client.awaiting import Awaiting
from muniment.client.blocking import Blocking
from muniment.client.calls import Id, parse_model
from muniment.client.models import Listing
from muniment.client.protocol import Call, Parameters, Protocol
from muniment.contracts.documents import BoundingBox

_PATH = "/v1/annotations"


def list_annotations(
    limit: int, cursor: str | None, wanted: Parameters
) -> Call[Listing[Annotation]]:
    parameters = {"limit": limit, "cursor": cursor, **wanted}
    return Call("GET", _PATH, _annotations, parameters=parameters)


def create_annotation(
    file_id: Id,
    body: str,
    page: int | None,
    quote: Mapping[str, JsonValue],
    region: BoundingBox | None,
    tags: Sequence[str],
) -> Call[Annotation]:
    target: dict[str, JsonValue] = {}
    if page is not None:
        target["page"] = page
    if quote:
        target["quote"] = {**quote}
    if region is not None:
        target["region"] = [*region]
    json: dict[str, JsonValue] = {"file_id": str(file_id), "body": body, "tags": [*tags]}
    if target:
        json["target"] = target
    return Call("POST", _PATH, _annotation, json=json, creates=True)


def settle_annotation(annotation_id: Id, state: str) -> Call[Annotation]:
    return Call("PATCH", f"{_PATH}/{annotation_id}", _annotation, json={"state": state})


def delete_annotation(annotation_id: Id) -> Call[None]:
    return Call("DELETE", f"{_PATH}/{annotation_id}", _nothing)


def list_comments(annotation_id: Id, limit: int, cursor: str | None) -> Call[Listing[Comment]]:
    parameters = {"limit": limit, "cursor": cursor}
    return Call("GET", f"{_PATH}/{annotation_id}/comments", _comments, parameters=parameters)


def create_comment(annotation_id: Id, body: str) -> Call[Comment]:
    path = f"{_PATH}/{annotation_id}/comments"
    return Call("POST", path, _comment, json={"body": body}, creates=True)


def list_activity(
    file_id: Id | None, limit: int, cursor: str | None
) -> Call[Listing[ActivityEntry]]:
    path = "/v1/activity" if file_id is None else f"/v1/files/{file_id}/activity"
    return Call("GET", path, _activity, parameters={"limit": limit, "cursor": cursor})


def _quote(
    exact: str | None, prefix: str | None, suffix: str | None, start: int | None
) -> dict[str, JsonValue]:
    given = {"exact": exact, "prefix": prefix, "suffix": suffix, "start": start}
    return {name: value for name, value in given.items() if value is not None}


def _wanted(file_id: Id | None, version: int | None, page: int | None) -> Parameters:
    file = None if file_id is None else str(file_id)
    return {"file_id": file, "version": version, "page": page}


def _annotations(response: httpx.Response) -> Listing[Annotation]:
    return parse_model(Listing[Annotation], response.content)


def _annotation(response: httpx.Response) -> Annotation:
    return parse_model(Annotation, response.content)


def _comments(response: httpx.Response) -> Listing[Comment]:
    return parse_model(Listing[Comment], response.content)


def _comment(response: httpx.Response) -> Comment:
    return parse_model(Comment, response.content)


def _activity(response: httpx.Response) -> Listing[ActivityEntry]:
    return parse_model(Listing[ActivityEntry], response.content)


def _nothing(_: httpx.Response) -> None:
    """204 has no body."""


class AsyncAnnotations:
    """`/v1/annotations`: what people write on files; and what was done to those."""

    def __init__(self, protocol: Protocol, run: Awaiting) -> None:
        self._protocol = protocol
        self._run = run

    async def list(
        self,
        *,
        file_id: Id | None = None,
        version: int | None = None,
        page: int | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Listing[Annotation]:
        """Newest first, each with where it stands in the version (without one: in use)."""
        call = list_annotations(limit, cursor, _wanted(file_id, version, page))
        return await self._run.run(self._protocol.call(call))

    async def create(
        self,
        file_id: Id,
        body: str = "",
        *,
        page: int | None = None,
        exact: str | None = None,
        prefix: str | None = None,
        suffix: str | None = None,
        start: int | None = None,
        region: BoundingBox | None = None,
        tags: Sequence[str] = (),
    ) -> Annotation:
        """On words (`exact`) or a box of a page; without `page` on the whole file. Of words that stand there
        more than once, `prefix` and `suffix` or `start` say which are meant."""
        quote = _quote(exact, prefix, suffix, start)
        call = create_annotation(file_id, body, page, quote, region, tags)
        return await self._run.run(self._protocol.call(call))

    async def resolve(self, annotation_id: Id) -> Annotation:
        call = settle_annotation(annotation_id, "resolved")
        return await self._run.run(self._protocol.call(call))

    async def reopen(self, annotation_id: Id) -> Annotation:
        return await self._run.run(self._protocol.call(settle_annotation(annotation_id, "open")))

    async def delete(self, annotation_id: Id) -> None:
        """With its comments, for good."""
        await self._run.run(self._protocol.call(delete_annotation(annotation_id)))

    async def answer(self, annotation_id: Id, body: str) -> Comment:
        return await self._run.run(self._protocol.call(create_comment(annotation_id, body)))

    async def comments(
        self, annotation_id: Id, *, limit: int = 50, cursor: str | None = None
    ) -> Listing[Comment]:
        """Newest first."""
        call = list_comments(annotation_id, limit, cursor)
        return await self._run.run(self._protocol.call(call))

    async def activity(
        self, file_id: Id | None = None, *, limit: int = 50, cursor: str | None = None
    ) -> Listing[ActivityEntry]:
        """Newest first, of the file or of all that the key may read."""
        call = list_activity(file_id, limit, cursor)
        return await self._run.run(self._protocol.call(call))


class Annotations:
    """`/v1/annotations`: what people write on files; and what was done to those."""

    def __init__(self, protocol: Protocol, run: Blocking) -> None:
        self._protocol = protocol
        self._run = run

    def list(
        self,
        *,
        file_id: Id | None = None,
        version: int | None = None,
        page: int | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Listing[Annotation]:
        """Newest first, each with where it stands in the version (without one: in use)."""
        call = list_annotations(limit, cursor, _wanted(file_id, version, page))
        return self._run.run(self._protocol.call(call))

    def create(
        self,
        file_id: Id,
        body: str = "",
        *,
        page: int | None = None,
        exact: str | None = None,
        prefix: str | None = None,
        suffix: str | None = None,
        start: int | None = None,
        region: BoundingBox | None = None,
        tags: Sequence[str] = (),
    ) -> Annotation:
        """On words (`exact`) or a box of a page; without `page` on the whole file. Of words that stand there
        more than once, `prefix` and `suffix` or `start` say which are meant."""
        quote = _quote(exact, prefix, suffix, start)
        call = create_annotation(file_id, body, page, quote, region, tags)
        return self._run.run(self._protocol.call(call))

    def resolve(self, annotation_id: Id) -> Annotation:
        return self._run.run(self._protocol.call(settle_annotation(annotation_id, "resolved")))

    def reopen(self, annotation_id: Id) -> Annotation:
        return self._run.run(self._protocol.call(settle_annotation(annotation_id, "open")))

    def delete(self, annotation_id: Id) -> None:
        """With its comments, for good."""
        self._run.run(self._protocol.call(delete_annotation(annotation_id)))

    def answer(self, annotation_id: Id, body: str) -> Comment:
        return self._run.run(self._protocol.call(create_comment(annotation_id, body)))

    def comments(
        self, annotation_id: Id, *, limit: int = 50, cursor: str | None = None
    ) -> Listing[Comment]:
        """Newest first."""
        return self._run.run(self._protocol.call(list_comments(annotation_id, limit, cursor)))

    def activity(
        self, file_id: Id | None = None, *, limit: int = 50, cursor: str | None = None
    ) -> Listing[ActivityEntry]:
        """Newest first, of the file or of all that the key may read."""
        return self._run.run(self._protocol.call(list_activity(file_id, limit, cursor)))
