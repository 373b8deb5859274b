"""Processes share the tests out so that few start the same things, and none works on alone at the end."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

FILES = (
    "tests/api/test_a.py",
    "tests/chaos/test_b.py",
    "tests/chaos/test_c.py",
    "tests/e2e/test_d.py",
    "tests/muniment/test_e.py",
    "tests/workflows/test_f.py",
)
TWO_TESTS = "def test_one(): pass\n\n\ndef test_two(): pass\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(TWO_TESTS, encoding="utf-8")
    return tmp_path


def said(folder: Path, *arguments: str) -> str:
    """What pytest says of these tests."""
    plugins = ["-p", "deploy.sharing_out", "-p", "no:cacheprovider"]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "--rootdir", str(folder), *plugins, *arguments, folder],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return ended.stdout


def test_what_takes_longest_is_begun_first_and_what_is_short_comes_last(folder: Path) -> None:
    told = said(folder, "--collect-only", "-q")
    order = list(dict.fromkeys(re.findall(r"^(\S+\.py)::", told, re.MULTILINE)))
    assert order == [*FILES[1:4], FILES[0], FILES[5], FILES[4]]


def test_files_that_have_a_stack_together_are_run_by_one_process(folder: Path) -> None:
    told = said(folder, "-v", "-n", "2", "--no-loadscope-reorder")
    by_file: dict[str, set[str]] = {}
    ran = re.compile(r"^\[(gw\d)\].* PASSED \S*(tests/\w+/test_\w\.py)::", re.MULTILINE)
    for process, name in ran.findall(told):
        by_file.setdefault(name, set()).add(process)
    assert set(by_file) == set(FILES)
    assert all(len(processes) == 1 for processes in by_file.values())
    assert by_file[FILES[1]] == by_file[FILES[2]] != by_file[FILES[3]]
