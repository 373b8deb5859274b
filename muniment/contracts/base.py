"""The ground of every contract: frozen, strict about unknown fields, small on the wire."""

from uuid import UUID

from pydantic import BaseModel, ConfigDict


class Contract(BaseModel):
    """A value that crosses a border: immutable, and refusing fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class VersionReference(Contract):
    """Which version of which file, for whom, in which job; every stage's input starts with it."""

    tenant_id: UUID
    file_id: UUID
    version_id: UUID
    job_id: UUID


class Artifact(Contract):
    """A stage result in the sealed store.

    `fingerprint` is the SHA-256 (hex) over stage, stage version, settings, model and input
    fingerprints: equal fingerprints mean equal content. `blob_id` is where the content lies.
    """

    fingerprint: str
    blob_id: UUID


class StageOutcome(Contract):
    """What every stage says of itself: `reused` when its result was found, not computed."""

    reused: bool = False
