"""The pages of a job, out of what its stage `read` put out."""

from collections.abc import Sequence

from activities.artifacts import Artifacts
from db.queries.stages import Output
from muniment.contracts.base import VersionReference
from muniment.contracts.documents import PageBatch
from muniment.errors import ObjectMissing


async def load_batches(
    artifacts: Artifacts, version: VersionReference, outputs: Sequence[Output]
) -> list[PageBatch]:
    """The batches in the order of their pages; ObjectMissing when there is none at all."""
    contents = await load_batch_contents(artifacts, version, outputs)
    return [PageBatch.model_validate_json(content) for content in contents]


async def load_batch_contents(
    artifacts: Artifacts, version: VersionReference, outputs: Sequence[Output]
) -> list[bytes]:
    """The same as they are kept, each a PageBatch as JSON: a tenth of the memory."""
    if not outputs:
        raise ObjectMissing("The job has no pages that were read.")
    return [await artifacts.load_bytes(version.tenant_id, output.blob_id) for output in outputs]
