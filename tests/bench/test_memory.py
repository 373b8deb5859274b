"""When a process's memory counts as flat."""

import mmap
import os
from pathlib import Path

import pytest

from bench.memory import growth, not_flat, owned_mebibytes

MEBIBYTE = 1024 * 1024


def test_growth_is_the_last_sample_over_the_first() -> None:
    assert growth([200, 500, 220]) == pytest.approx(0.1)
    assert growth([200]) == 0


@pytest.mark.parametrize(("last", "is_flat"), [(109, True), (91, True), (111, False), (89, False)])
def test_memory_is_flat_within_a_tenth(last: float, is_flat: bool) -> None:
    samples = [{"worker": 100.0}, {"worker": 150.0}, {"worker": last}]
    assert (not_flat(samples, ["worker"]) == {}) is is_flat


def test_a_process_that_is_gone_is_not_flat() -> None:
    samples = [{"worker": 100.0, "other": 50.0}, {"worker": 100.0}]
    assert not_flat(samples, ["worker", "other", "absent"]) == {"other": -1.0, "absent": 0.0}


def test_other_processes_may_grow() -> None:
    assert (
        not_flat([{"worker": 100.0, "api": 1.0}, {"worker": 100.0, "api": 2.0}], ["worker"]) == {}
    )


def test_pages_of_mapped_files_do_not_count(tmp_path: Path) -> None:
    mapped = tmp_path / "mapped"
    mapped.write_bytes(bytes(64 * MEBIBYTE))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "reader.pid").write_text(str(os.getpid()), encoding="utf-8")
    before = owned_mebibytes(tmp_path)["reader"]
    with mapped.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as pages:
        assert sum(pages[offset] for offset in range(0, len(pages), 4096)) == 0
        assert owned_mebibytes(tmp_path)["reader"] - before < 16
    # New pages: what other tests gave back to the process would be taken again.
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    with mmap.mmap(-1, 64 * MEBIBYTE, flags=flags) as kept:
        kept.write(os.urandom(64 * MEBIBYTE))
        assert owned_mebibytes(tmp_path)["reader"] - before > 48
