"""What the supervisor writes about a running stack, and what `status` answers."""

from datetime import datetime
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from deploy.embedded.home import Home, write_privately


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Endpoints(_Record):
    """`run/endpoints.json`: where a ready stack listens. The file is there only after `ready`.

    The rest is for whoever joins the stack with a process of its own: clamd's address, null where
    nothing is scanned, and the folders of content, of keys and of the embedding model."""

    api: str
    temporal: str
    temporal_ui: str
    database: str
    namespace: str
    scanner: str | None = None
    objects: str | None = None
    keys: str | None = None
    models: str | None = None


class ProcessState(StrEnum):
    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"
    STOPPED = "stopped"


class ProcessRecord(_Record):
    """One process. `created` is its start time in seconds since the epoch: with the pid it
    identifies the process even after the pid has been given to another."""

    name: str
    pid: int | None
    created: float | None
    state: ProcessState
    restarts: int = 0
    since: datetime
    last_exit: int | None = None


class StackState(StrEnum):
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    CRASHED = "crashed"
    """The supervisor is gone without having stopped the stack; the next `up` takes it over."""


class StackRecord(_Record):
    """`run/processes.json`, rewritten by the supervisor at every change."""

    state: StackState
    supervisor: ProcessRecord
    processes: tuple[ProcessRecord, ...] = ()


class StackStatus(_Record):
    """The answer of `status`."""

    home: Path
    state: StackState
    supervisor_pid: int | None = None
    processes: tuple[ProcessRecord, ...] = ()
    endpoints: Endpoints | None = None


def read_stack(home: Home) -> StackRecord | None:
    """The last record, or None where there is none or an unreadable one."""
    try:
        return StackRecord.model_validate_json(home.processes.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValidationError):
        return None


def write_stack(home: Home, record: StackRecord) -> None:
    write_privately(home.processes, record.model_dump_json(indent=2) + "\n")


def read_endpoints(home: Home) -> Endpoints | None:
    """The endpoints of a ready stack, or None."""
    try:
        return Endpoints.model_validate_json(home.endpoints.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValidationError):
        return None
