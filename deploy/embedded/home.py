"""The folder that holds everything an embedded stack keeps, and its layout.

    run/       0700: endpoints.json, processes.json, places.json, <process>.pid, admin.key, sockets
    log/       <process>.jsonl, rotated and bounded
    objects/   sealed content           keys/        key file and wrapped data keys
    postgres/  the database cluster     temporal.db  the orchestrator's SQLite file

All of it is closed to other users of the machine.
"""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from muniment.errors import ConfigurationError

HOME_VARIABLE = "MUNIMENT_HOME"


@dataclass(frozen=True)
class Home:
    """Paths below one home; nothing is created until `create`."""

    root: Path

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def log(self) -> Path:
        return self.root / "log"

    @property
    def objects(self) -> Path:
        return self.root / "objects"

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    @property
    def postgres(self) -> Path:
        return self.root / "postgres"

    @property
    def temporal_database(self) -> Path:
        return self.root / "temporal.db"

    @property
    def endpoints(self) -> Path:
        return self.run / "endpoints.json"

    @property
    def processes(self) -> Path:
        return self.run / "processes.json"

    @property
    def places(self) -> Path:
        return self.run / "places.json"

    @property
    def admin_key(self) -> Path:
        return self.run / "admin.key"

    @property
    def lock(self) -> Path:
        return self.run / "supervisor.lock"

    def pid_file(self, process: str) -> Path:
        return self.run / f"{process}.pid"

    def log_file(self, process: str) -> Path:
        return self.log / f"{process}.jsonl"

    def create(self) -> None:
        """Makes the folders, 0700; an existing home that others can enter is closed to them.

        Raises ConfigurationError when the place cannot be written or belongs to another user.
        """
        try:
            for folder in (self.root, self.run, self.log, self.objects, self.keys):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in (self.root, self.run):
                if folder.stat().st_uid != os.geteuid():
                    raise ConfigurationError(
                        f"the home {self.root} belongs to another user",
                        remedy="Choose another folder with --home, or run as its owner.",
                    )
                folder.chmod(0o700)
        except OSError as error:
            raise ConfigurationError(
                f"the home {self.root} cannot be used: {error.strerror}",
                remedy="Choose a folder that you may write with --home.",
            ) from error


def default_home() -> Path:
    """`MUNIMENT_HOME`, else the platform's folder for user data."""
    chosen = os.environ.get(HOME_VARIABLE)
    return Path(chosen) if chosen else Path(platformdirs.user_data_dir("muniment"))


def model_directory() -> Path:
    """Where `make setup` prepares the embedding model: shared by all homes of a user."""
    # Here, since it loads numpy, which `status` and `down` need not wait for.
    from muniment.embedding import default_model_directory

    return default_model_directory()


def write_privately(path: Path, text: str) -> None:
    """Replaces a file with mode 0600, atomically: a reader sees the old text or the new."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
