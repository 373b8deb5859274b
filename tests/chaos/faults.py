"""What can befall an installation, and how it is mended."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.chaos.installation import Installation
from tests.chaos.line import Line
from tests.chaos.small_disk import SmallDisk

SLOW_BYTES_PER_SECOND = 1024 * 1024
SLOW_LATENCY_SECONDS = 0.01


@dataclass(frozen=True)
class Fault:
    """`missing` is what `/readyz` calls down meanwhile. With `by_line` the clients' line matters; with
    `is_borne` nothing may fail."""

    strike: Callable[[Installation], None]
    mend: Callable[[Installation], None]
    missing: str | None = None
    by_line: bool = False
    is_borne: bool = False
    ends_api: bool = False
    is_of_s3: bool = False
    needs_disk: bool = False

    @property
    def parts_from_clients(self) -> bool:
        """Whether every connection of a client ends at once."""
        return self.by_line or self.ends_api

    def require_means(self, installation: Installation) -> None:
        if self.needs_disk and installation.store_disk is None:
            pytest.skip(
                "NOT TRIED: a full disk needs a small file system, which only root may mount"
            )


def _store_line(installation: Installation) -> Line:
    assert installation.store_line is not None
    return installation.store_line


def _store_disk(installation: Installation) -> SmallDisk:
    assert installation.store_disk is not None
    return installation.store_disk


def _kill_s3(installation: Installation) -> None:
    assert installation.s3 is not None
    installation.s3.kill()


def _start_s3(installation: Installation) -> None:
    assert installation.s3 is not None
    installation.s3.start()


def _slow_down(installation: Installation) -> None:
    line = _store_line(installation)
    line.bytes_per_second, line.latency_seconds = SLOW_BYTES_PER_SECOND, SLOW_LATENCY_SECONDS


def _cut_off_and_return(installation: Installation) -> None:
    """As of a network that changes: what was connected is gone, and can connect again."""
    installation.client_line.cut()
    time.sleep(0.5)
    installation.client_line.mend()


def _nothing(_: Installation) -> None:
    """It mends itself."""


FAULTS: dict[str, Fault] = {
    "api killed": Fault(
        lambda installation: installation.kill_api(),
        lambda installation: installation.start_api(),
        ends_api=True,
    ),
    "postgres killed": Fault(
        lambda installation: installation.postgres.kill(),
        lambda installation: installation.postgres.start(),
        missing="database",
    ),
    "database cut off": Fault(
        lambda installation: installation.database_line.cut(),
        lambda installation: installation.database_line.mend(),
        missing="database",
    ),
    "database silent": Fault(
        lambda installation: installation.database_line.fall_silent(),
        lambda installation: installation.database_line.mend(),
        missing="database",
    ),
    "client cut off": Fault(_cut_off_and_return, _nothing, by_line=True),
    "store full": Fault(
        lambda installation: _store_disk(installation).fill(),
        lambda installation: _store_disk(installation).free(),
        missing="objects",
        needs_disk=True,
    ),
    "store killed": Fault(_kill_s3, _start_s3, missing="objects", is_of_s3=True),
    "store cut off": Fault(
        lambda installation: _store_line(installation).cut(),
        lambda installation: _store_line(installation).mend(),
        missing="objects",
        is_of_s3=True,
    ),
    "store silent": Fault(
        lambda installation: _store_line(installation).fall_silent(),
        lambda installation: _store_line(installation).mend(),
        missing="objects",
        is_of_s3=True,
    ),
    "store slow": Fault(
        _slow_down,
        lambda installation: _store_line(installation).mend(),
        is_borne=True,
        is_of_s3=True,
    ),
}
