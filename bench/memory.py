"""Memory of an embedded stack's processes, and whether it stays where it was."""

import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from bench.costs import api_processes

TOLERANCE = 0.1
_MEBIBYTE = 1024 * 1024
_TEMPLATE = "activities.sandbox.template"
_READINGS = 5
_PAUSE_SECONDS = 0.5
_GLANCE_SECONDS = 0.02


def owned_mebibytes(home: Path) -> dict[str, float]:
    """By the names that the supervisor gives its processes, those that they started included. The
    sandbox's template and its children count apart, as `… template` and `… engines`. Of several
    readings the least: engines come and go. Pages of mapped files do not count: the kernel takes them
    back and brings them again as other processes let it, and no leak is among them."""
    readings = [_reading(home)]
    for _ in range(_READINGS - 1):
        time.sleep(_PAUSE_SECONDS)
        readings.append(_reading(home))
    names = {name for reading in readings for name in reading}
    return {name: min(reading.get(name, 0.0) for reading in readings) for name in sorted(names)}


class Peak:
    """The most memory that processes owned together while they were watched, in MiB above what they
    owned at first."""

    def __init__(self, processes: Sequence[psutil.Process]) -> None:
        self._processes = processes
        self._first = self._most = self._owned()
        self._over = threading.Event()

    @property
    def growth_mebibytes(self) -> float:
        return self._most - self._first

    def watch(self) -> None:
        """Until `stop`."""
        while not self._over.wait(_GLANCE_SECONDS):
            self._most = max(self._most, self._owned())

    def stop(self) -> None:
        self._over.set()

    def _owned(self) -> float:
        return sum(map(_owned, self._processes))


@contextmanager
def watched_api(home: Path) -> Iterator[Peak]:
    """Watches the processes of an embedded stack's API throughout the block."""
    peak = Peak(api_processes(home))
    thread = threading.Thread(target=peak.watch, name="peak", daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        peak.stop()
        thread.join()


def growth(samples: Sequence[float]) -> float:
    """The last sample over the first, less one; 0 for fewer than two."""
    return samples[-1] / samples[0] - 1 if len(samples) > 1 and samples[0] > 0 else 0.0


def not_flat(samples: Sequence[Mapping[str, float]], names: Sequence[str]) -> dict[str, float]:
    """The growth of those of the named processes whose memory at the end is not within the
    tolerance of what it was at first. A process that was not there at either is not flat."""
    found = {}
    for name in names:
        sizes = [sample.get(name, 0.0) for sample in samples]
        if sizes[0] <= 0 or abs(growth(sizes)) > TOLERANCE:
            found[name] = growth(sizes)
    return found


def _reading(home: Path) -> dict[str, float]:
    found: dict[str, float] = defaultdict(float)
    for path in (home / "run").glob("*.pid"):
        try:
            process = psutil.Process(int(path.read_text(encoding="utf-8").split()[0]))
            _count(found, path.stem, process)
        except psutil.NoSuchProcess:
            continue
    return dict(found)


def _count(found: dict[str, float], name: str, process: psutil.Process) -> None:
    """The process and what it started, but for processes that are counted by a name of their own."""
    found[name] += _owned(process)
    if name == "supervisor":
        return
    for child in process.children():
        try:
            is_template = _TEMPLATE in child.cmdline()
        except psutil.NoSuchProcess:
            continue
        if is_template:
            found[f"{name} template"] += _owned(child)
            found[f"{name} engines"] += sum(map(_owned, child.children(recursive=True)))
        else:
            _count(found, name, child)


def _owned(process: psutil.Process) -> float:
    """0 for a process that is gone."""
    try:
        memory = process.memory_info()
        return float(memory.rss - memory.shared) / _MEBIBYTE
    except psutil.NoSuchProcess:
        return 0.0
