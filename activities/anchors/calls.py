"""What the engine `anchor` is asked and answers."""

from uuid import UUID

from muniment.contracts.anchor_annotations import AnchorState
from muniment.contracts.base import Contract
from muniment.contracts.documents import BoundingBox


class ReadPage(Contract):
    """A page's shape (points, degrees), and where it lies: which of the reading's batches, and where in
    it; without a batch it could not be read."""

    page: int
    width: float
    height: float
    rotation: int
    batch: int | None
    position: int


class ReadPages(Contract):
    """All pages of a reading, which lie in so many batches."""

    pages: tuple[ReadPage, ...]
    batches: int


class Annotated(Contract):
    """What an annotation was made on, as its row says; `page_digest` in hexadecimal."""

    annotation_id: UUID
    page: int
    page_width: float
    page_height: float
    page_rotation: int
    page_digest: str
    region: BoundingBox | None
    quote: str
    prefix: str
    suffix: str
    start: int
    end: int
    occurrence: int
    occurrences: int
    boxes: tuple[BoundingBox, ...]


class AnchorRequest(Contract):
    """The call's content are lines of JSON, a PageBatch each: the batches of the present reading, then
    those of the version that the annotations were made on. Without a `former` they were made on this
    version, which was read anew."""

    annotations: tuple[Annotated, ...]
    present: ReadPages
    former: ReadPages | None


class Anchored(Contract):
    """Where an annotation stands now."""

    annotation_id: UUID
    state: AnchorState
    score: float | None = None
    page: int | None = None
    region: BoundingBox | None = None
    quote: str = ""
    start: int | None = None
    end: int | None = None
    boxes: tuple[BoundingBox, ...] = ()


class AnchorAnswer(Contract):
    """Fewer than were asked for where the time did not suffice; none where the readings are too long."""

    anchored: tuple[Anchored, ...] = ()
