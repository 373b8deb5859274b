"""`-p deploy.sharing_out`: which of the tests one process runs after another, and in which order."""

from collections.abc import Sequence

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling, Scheduling

TOGETHER = ("tests/chaos/", "tests/e2e/")
"""Folders whose files have a whole stack in common, which takes each process half a minute to start. They
take longest, so that they come first."""
LAST = ("tests/muniment/",)
"""Files of seconds each: by them all processes come to their ends at about the same time."""


class SharingOut(LoadScopeScheduling):  # type: ignore[misc]  # of a library without types
    """A file is run by one process, since its tests have servers together."""

    def _split_scope(self, nodeid: str) -> str:
        folder = _within(nodeid, TOGETHER)
        return folder or nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    return SharingOut(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All else stays in its order: what a folder has together is started once in a process."""
    items.sort(key=lambda item: _turn(item.nodeid))


def _turn(nodeid: str) -> int:
    if _within(nodeid, TOGETHER):
        return 0
    return 2 if _within(nodeid, LAST) else 1


def _within(nodeid: str, folders: Sequence[str]) -> str | None:
    return next((folder for folder in folders if nodeid.startswith(folder)), None)
