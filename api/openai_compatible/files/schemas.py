"""Files as OpenAI's clients see them."""

from typing import Literal

from pydantic import BaseModel

Purpose = Literal["assistants", "user_data"]
"""What a file is for; here the same is done with both. What OpenAI's other purposes are for is not done."""


FileStatus = Literal["uploaded", "processed", "error"]


class FileObject(BaseModel):
    """`bytes` and `filename` are those of the version in use. `status`: `uploaded` while the file is being
    read, then `processed`, or `error` with `status_details`. Times are seconds since 1970."""

    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    filename: str
    purpose: Purpose
    status: FileStatus
    status_details: str | None = None
    expires_at: int | None = None


class DeletedFile(BaseModel):
    """It is in the trash, from which `POST /v1/files/{id}/restore` takes it."""

    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True
