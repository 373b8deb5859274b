"""What every group of settings is."""

from pydantic import BaseModel, ConfigDict


class Group(BaseModel):
    """Settings that share the middle of their variables' names."""

    model_config = ConfigDict(frozen=True, extra="forbid")
