"""Collections as clients see them."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.times import UtcTime
from muniment.contracts.language_models import ModelUse
from muniment.contracts.text_modes import TextMode

Visibility = Literal["tenant", "private"]


def _clean(name: str) -> str:
    if not name.isprintable() or not name.strip():
        raise ValueError("a name is made of printable characters")
    return name.strip()


CollectionName = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_clean)]


LOST_WITH_ENCRYPTED_TEXT = (
    "Search by words does not find its passages; search by meaning does.",
    "Passages have no highlights.",
    "Files show no title, authors, date or outline of their documents.",
    "While keys are out of reach, passages and annotations are shown without the document's words.",
    "Vectors stay readable to whoever reads the database, and much of a text can be recovered from them.",
    "Names, metadata and labels of files, and what people write in annotations, are not sealed.",
    "Files do not move to or from collections of another `text_mode`.",
)
"""What an owner gives up, and what is still in the clear: docs/encrypted-text.md."""


class Collection(BaseModel):
    """`visibility` tenant: everyone of the tenant reads its files and may add some; private: its
    owner, and who was granted it. `text_mode` `encrypted_text`: what its documents say lies in the
    database only sealed; `limitations` are what that costs. `language_models`: which of them may read its
    passages to answer a question, `any`, `local` (those that run in the house) or `none`."""

    id: UUID
    name: str
    visibility: Visibility
    text_mode: TextMode
    limitations: list[str]
    language_models: ModelUse
    owner_id: UUID | None
    created_at: UtcTime


class NewCollection(BaseModel):
    """Without `language_models` any may read it; none where the text is sealed."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "law", "visibility": "private"}]}
    )

    name: CollectionName
    visibility: Visibility = "tenant"
    text_mode: TextMode = TextMode.FULL
    language_models: ModelUse | None = None


class CollectionChange(BaseModel):
    """What is absent stays. `text_mode` changes only while the collection holds no files, those in the
    trash included; where it becomes `encrypted_text`, `language_models` becomes `none` if it is absent."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"visibility": "private"}]}
    )

    name: CollectionName | None = None
    visibility: Visibility | None = None
    text_mode: TextMode | None = None
    language_models: ModelUse | None = None
