"""The keys of Temporal's payloads: a file (JSON, mode 0600) with the newest one, which encrypts, and those
before it, which open what they encrypted for as long as Temporal keeps any of it.

It is replaced whole, so readers need no lock; who changes it takes turns on a lock file.
"""

import base64
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from pydantic import AwareDatetime, Base64Bytes, BaseModel, ConfigDict, Field, ValidationError

from muniment.errors import ConfigurationError
from muniment.sealing.locked_file import FileLockTimedOut, replace_file, sync_folder, when_locked

KEY_BYTES = 32
LOCK_SECONDS = 10.0

_Stamp = tuple[int, int, int]


@dataclass(frozen=True)
class PayloadKeys:
    """The keys by id; new payloads are encrypted under `newest`, old ones under what they name."""

    newest: str
    keys: Mapping[str, bytes] = field(repr=False)
    replaced_at: Mapping[str, datetime] = field(default_factory=dict)
    """When each of the former ones was last seen to encrypt anything; those of before are not in it."""
    removed: frozenset[str] = frozenset()
    """Ids of those that are gone: who still has one knows this for a later state of its own ring."""

    def __post_init__(self) -> None:
        if self.newest not in self.keys:
            raise ConfigurationError("the newest payload key is not among the payload keys")
        if any(len(key) != KEY_BYTES for key in self.keys.values()):
            raise ConfigurationError("a payload key is not 32 bytes long")


class PayloadKeyFile:
    """The file at `path`, which is there. Raises `ConfigurationError` as `read_payload_keys` does."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = self._stamp()

    def changed(self) -> PayloadKeys | None:
        """The keys, if the file was replaced since it was last read. One that could not be read, or is
        gone for a while, is tried again; none is made."""
        stamp = self._stamp()
        if stamp == self._seen:
            return None
        keys = read_payload_keys(self._path)
        self._seen = stamp
        return keys

    def rotate(self, at: datetime) -> str:
        """Adds a key, which encrypts from now on; its id."""
        key_id = uuid4().hex[:8]

        def rotated(contents: _Contents) -> _Contents:
            added = {**_encoded(contents.keys), key_id: base64.b64encode(os.urandom(KEY_BYTES))}
            replaced_at = {**contents.replaced_at, contents.newest: at}
            return _Contents(
                newest=key_id, keys=added, replaced_at=replaced_at, removed=contents.removed
            )

        self._change(rotated)
        return key_id

    def note_use(self, key_ids: frozenset[str], at: datetime) -> None:
        """The former keys were found to have encrypted something that was in use until now."""

        def noted(contents: _Contents) -> _Contents:
            former = contents.keys.keys() - {contents.newest}
            used = {key_id: at for key_id in key_ids if key_id in former}
            return contents.model_copy(update={"replaced_at": {**contents.replaced_at, **used}})

        self._change(noted)

    def remove(self, key_id: str) -> None:
        """Forgets a former key: nothing that it encrypted can be read any more."""

        def removed(contents: _Contents) -> _Contents:
            if key_id == contents.newest:
                raise ConfigurationError("the newest payload key cannot be removed")
            if key_id not in contents.keys:
                return contents  # somebody else was quicker
            kept = {name: key for name, key in contents.keys.items() if name != key_id}
            replaced_at = {name: at for name, at in contents.replaced_at.items() if name != key_id}
            return _Contents(
                newest=contents.newest,
                keys=_encoded(kept),
                replaced_at=replaced_at,
                removed=[*contents.removed, key_id],
            )

        self._change(removed)

    def _change(self, change: Callable[["_Contents"], "_Contents"]) -> None:
        try:
            with when_locked(self._path, LOCK_SECONDS):
                contents = _read(self._path)
                changed = change(contents)
                if changed != contents:
                    replace_file(self._path, changed.written())
        except FileLockTimedOut:
            raise ConfigurationError(
                "another process keeps the payload key file locked", remedy="Try again."
            ) from None
        except OSError as error:
            raise ConfigurationError(
                f"the payload key file cannot be written: {error.strerror}",
                remedy="Mend the disk or the rights of the folder of keys.",
            ) from error

    def _stamp(self) -> _Stamp | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return (found.st_ino, found.st_ctime_ns, found.st_size)  # which rights change too


def load_payload_keys(path: Path) -> PayloadKeys:
    """The keys of the file at `path` (JSON, mode 0600), which is made with a first key if missing.

    Processes that start together agree on one key: the file appears whole, and only once. Raises
    `ConfigurationError` when it is damaged, unreadable, or open to other users.
    """
    try:
        if not path.exists():
            _create(path)
    except OSError as error:
        raise ConfigurationError(
            f"the payload key file cannot be made: {error.strerror}",
            remedy="Give Muniment's user a folder of its own for the keys.",
        ) from error
    return read_payload_keys(path)


def read_payload_keys(path: Path) -> PayloadKeys:
    """As `load_payload_keys`, and `ConfigurationError` for a file that is not there: only a start makes
    one, since another under running processes would have them encrypt by a key that nobody keeps."""
    try:
        contents = _read(path)
    except FileNotFoundError:
        raise ConfigurationError(
            "the payload key file is not there",
            remedy="See that MUNIMENT_KEYS__ROOT names the folder of keys, and that it is mounted.",
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"the payload key file cannot be read: {error.strerror}",
            remedy="Mend the disk or the rights of the folder of keys.",
        ) from error
    removed = frozenset(contents.removed)
    return PayloadKeys(contents.newest, contents.keys, contents.replaced_at, removed)


class _Contents(BaseModel):
    """What the key file holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = Field(default=1, ge=1, le=1)
    newest: str
    keys: dict[str, Base64Bytes] = Field(repr=False)
    replaced_at: dict[str, AwareDatetime] = Field(default_factory=dict)
    removed: list[str] = Field(default_factory=list)

    def written(self) -> bytes:
        """Without what releases before do not know, while there is nothing in it."""
        unsaid = {name for name in ("replaced_at", "removed") if not getattr(self, name)}
        return self.model_dump_json(indent=1, exclude=unsaid).encode()


def _read(path: Path) -> "_Contents":
    if stat.S_IMODE(path.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigurationError(
            "the payload key file is open to other users than its owner",
            remedy="Take their rights away (chmod 600), and rotate: `python -m worker.payload_keys`.",
        )
    try:
        return _Contents.model_validate_json(path.read_bytes())
    except ValidationError:
        # The cause would show key material.
        raise ConfigurationError(
            "the payload key file is damaged", remedy="Restore it from its newest backup."
        ) from None


def _encoded(keys: Mapping[str, bytes]) -> dict[str, bytes]:
    """As the file's fields take them."""
    return {key_id: base64.b64encode(key) for key_id, key in keys.items()}


def _create(path: Path) -> None:
    """Makes the file with a first key, unless another process is quicker."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    key_id = uuid4().hex[:8]
    encoded = base64.b64encode(os.urandom(KEY_BYTES))
    contents = _Contents(newest=key_id, keys={key_id: encoded})
    beside = path.with_name(f".{path.name}.{uuid4().hex}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(contents.written())
            file.flush()
            os.fsync(file.fileno())
        # A link, unlike a rename, fails when the file exists: the first process wins.
        os.link(beside, path)
    except FileExistsError:
        return
    finally:
        beside.unlink()
    sync_folder(path.parent)
