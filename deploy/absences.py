"""What a run of the tests left out, and why: a plugin of pytest."""

from collections import Counter
from collections.abc import Sequence

import pytest

RUN_APART = {
    "slow": '`make test ARGUMENTS="-m slow"` runs them',
    "torch": "`make test-torch` runs them",
    "recording": "they record histories anew; tests/histories/README.md says how",
}
"""Marks of tests that a plain run leaves out (`addopts` in pyproject.toml), and how to run them."""
DESELECTED = "muniment_deselected"


class SummaryOfAbsences:
    """Collects what was skipped and what was deselected, and why, for the last lines of the run."""

    def __init__(self) -> None:
        self._skipped: Counter[str] = Counter()
        self.failed: set[str] = set()
        self.deselected: Counter[str | None] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and isinstance(report.longrepr, tuple):
            self._skipped[str(report.longrepr[2]).removeprefix("Skipped: ")] += 1
        if report.failed:
            self.failed.add(report.nodeid)

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        for item in items:
            marks = (name for name in RUN_APART if item.get_closest_marker(name))
            self.deselected[next(marks, None)] += 1

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object) -> None:
        """Each of the processes collects, and deselects, the same: what one says is not added up. One
        that was killed says nothing."""
        self.deselected |= Counter(getattr(node, "workeroutput", {}).get(DESELECTED, {}))

    def lines(self) -> list[str]:
        lines = [
            f"{self.deselected[marker]} marked `{marker}` left out: {how}"
            for marker, how in RUN_APART.items()
            if self.deselected[marker]
        ]
        if self.deselected[None]:
            lines.append(f"{self.deselected[None]} left out by the arguments of this run")
        return [*lines, *(f"{n} skipped: {why}" for why, n in self._skipped.items())]
