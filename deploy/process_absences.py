"""`-p deploy.process_absences`: what a process that runs tests for another left out is told there."""

import pytest

from deploy.absences import DESELECTED, SummaryOfAbsences


class _SummaryOfProcess(SummaryOfAbsences):
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        output = session.config.workeroutput  # type: ignore[attr-defined]  # pytest-xdist's
        output[DESELECTED] = dict(self.deselected)


def pytest_configure(config: pytest.Config) -> None:
    """Of those processes alone."""
    if hasattr(config, "workeroutput"):
        config.pluginmanager.register(_SummaryOfProcess())
