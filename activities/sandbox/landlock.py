"""Landlock (Linux ≥ 5.13): a process forbids itself the file system, but for what it names.

No binding on PyPI is kept up with the kernel's versions, so these are the three system calls, by
their numbers, which are the same on every architecture; see landlock(7).
"""

import ctypes
import errno
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH = 1

_WRITE_FILE, _READ_FILE, _READ_DIRECTORY, _TRUNCATE = 1 << 1, 1 << 2, 1 << 3, 1 << 14
_NOWHERE = os.devnull
"""What is written there is gone: libraries that are to be quiet write there."""
_FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
"""All rights over files that a version knows: what is handled and not granted is forbidden."""
_NETWORK_SINCE, _NETWORK_RIGHTS = 4, 0b11
"""Binding and connecting TCP sockets."""
_SCOPES_SINCE, _SCOPES = 6, 0b11
"""Abstract Unix sockets and signals of processes outside."""


class _RulesetAttributes(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Place:
    """What may be read: a file, or a folder with all below it."""

    path: str
    rights: int


def place_of(path: Path) -> Place:
    return Place(str(path), _READ_FILE | _READ_DIRECTORY if path.is_dir() else _READ_FILE)


@cache
def version() -> int:
    """The kernel's version of Landlock; 0 where there is none."""
    try:
        return _call(_CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION)
    except OSError:
        return 0


def allow_only_reading(places: Sequence[Place], descriptors: Sequence[int]) -> bool:
    """Forbids this process, for good, all of the file system but to read `places` and the
    files behind `descriptors`; TCP and signals to others too, where the kernel can. False where
    there is no Landlock. Needs no_new_privs.
    """
    found = version()
    if found == 0:
        return False
    attributes = _RulesetAttributes(
        handled_access_fs=_FILE_RIGHTS[max(since for since in _FILE_RIGHTS if since <= found)],
        handled_access_net=_NETWORK_RIGHTS if found >= _NETWORK_SINCE else 0,
        scoped=_SCOPES if found >= _SCOPES_SINCE else 0,
    )
    ruleset = _call(_CREATE_RULESET, ctypes.byref(attributes), ctypes.sizeof(attributes), 0)
    try:
        known = attributes.handled_access_fs
        for place in places:
            with suppress(FileNotFoundError):
                _allow_path(ruleset, place.path, place.rights)
        _allow_path(ruleset, _NOWHERE, (_READ_FILE | _WRITE_FILE | _TRUNCATE) & known)
        for descriptor in descriptors:
            _allow_descriptor(ruleset, descriptor, _READ_FILE)
        _call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return True


def _allow_path(ruleset: int, path: str, rights: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        _allow_descriptor(ruleset, descriptor, rights)
    finally:
        os.close(descriptor)


def _allow_descriptor(ruleset: int, descriptor: int, rights: int) -> None:
    rule = _PathBeneath(allowed_access=rights, parent_fd=descriptor)
    try:
        _call(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, ctypes.byref(rule), 0)
    except OSError as error:
        # Files without a place in the file system (memory files, pipes) are not restricted.
        if error.errno != errno.EBADFD:
            raise


def _call(number: int, *arguments: object) -> int:
    result: int = _LIBC.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), "landlock")
    return result
