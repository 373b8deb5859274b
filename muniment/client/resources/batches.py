"""`/v1/batches`: many files through one window. What a batch's state forbids raises Conflict."""

from collections.abc import Sequence

from pydantic import JsonValue

from muniment.client.building import Id, create, get, given, segment
from muniment.client.models import Batch, Listing
from muniment.client.operations import AsyncResource, Operation, Resource
from muniment.client.parsing import read_model
from muniment.client.protocol import Call
from muniment.client.resources.jobs import JobMessage

_PATH = "/v1/batches"


def create_batch(file_ids: Sequence[Id], *, priority: int | None = None) -> Call[Batch]:
    """Brings uploaded files to ready."""
    named: list[JsonValue] = [str(file_id) for file_id in file_ids]
    return create(_PATH, Batch, given(files=named, priority=priority))


def create_import(
    source: str, prefix: str = "", *, collection: str | None = None, priority: int | None = None
) -> Call[Batch]:
    """Takes in what lies in a source that the operator named, below the prefix."""
    place = given(name=source, prefix=prefix, collection=collection)
    return create(_PATH, Batch, given(source=place, priority=priority))


def list_batches(*, limit: int = 50, cursor: str | None = None) -> Call[Listing[Batch]]:
    return get(_PATH, Listing[Batch], {"limit": limit, "cursor": cursor})


def get_batch(batch_id: Id) -> Call[Batch]:
    return get(f"{_PATH}/{segment(batch_id)}", Batch)


def cancel_batch(batch_id: Id) -> Call[Batch]:
    """Cancels what is at work for it, too."""
    return _tell(batch_id, "cancel")


def pause_batch(batch_id: Id) -> Call[Batch]:
    """Begins no further file."""
    return _tell(batch_id, "pause")


def resume_batch(batch_id: Id) -> Call[Batch]:
    return _tell(batch_id, "resume")


def _tell(batch_id: Id, message: JobMessage) -> Call[Batch]:
    """Not repeated after it may have arrived: a second `cancel` is a conflict."""
    path = f"{_PATH}/{segment(batch_id)}/{message}"
    return Call("POST", path, read_model(Batch), repeatable=False)


class BatchOperations:
    """`/v1/batches`. What a batch's state forbids raises Conflict."""

    create = Operation(create_batch)
    import_from = Operation(create_import)
    list = Operation(list_batches)
    get = Operation(get_batch)
    cancel = Operation(cancel_batch)
    pause = Operation(pause_batch)
    resume = Operation(resume_batch)


class Batches(BatchOperations, Resource):
    """`/v1/batches`. What a batch's state forbids raises Conflict."""


class AsyncBatches(BatchOperations, AsyncResource):
    """`/v1/batches`. What a batch's state forbids raises Conflict."""
