"""The last lines of a test run name what was left out."""

import subprocess
import sys
from pathlib import Path

import pytest

from deploy.run_tests import try_again_alone
from tests.conftest import REPOSITORY

TESTS = """\
import pytest

def test_plain():
    pass

@pytest.mark.slow
def test_long():
    pass

@pytest.mark.parametrize("which", [1, 2])
@pytest.mark.torch
def test_with_torch(which):
    pass

@pytest.mark.recording
def test_record():
    pass

@pytest.mark.skipif(True, reason="the moon is up")
def test_by_day():
    pass
"""
# A run of its own: pytest is not made to run within itself.
RUN = """\
import sys
import pytest
from deploy.absences import SummaryOfAbsences

summary = SummaryOfAbsences()
arguments = ["-p", "deploy.process_absences", "-q", "-p", "no:cacheprovider", *sys.argv[1:]]
code = pytest.main(arguments, plugins=[summary])
print("--", code.value, *summary.lines(), sep="\\n")
"""


def _lines(path: Path, *arguments: str) -> list[str]:
    """The exit code, and the lines about what was left out."""
    configuration = REPOSITORY / "pyproject.toml"
    ended = subprocess.run(
        [sys.executable, "-c", RUN, str(path), "-c", str(configuration), *arguments],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return ended.stdout.rpartition("--\n")[2].splitlines()


@pytest.mark.parametrize("shared_out", [(), ("-n", "2", "--dist", "loadfile")])
def test_what_is_left_out_is_counted_by_its_mark_and_told_how_to_run(
    shared_out: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / "test_of_all_kinds.py"
    path.write_text(TESTS, encoding="utf-8")
    assert _lines(path, *shared_out) == [
        "0",
        '1 marked `slow` left out: `make test ARGUMENTS="-m slow"` runs them',
        "2 marked `torch` left out: `make test-torch` runs them",
        "1 marked `recording` left out: they record histories anew;"
        " tests/histories/README.md says how",
        "1 skipped: the moon is up",
    ]
    assert _lines(path, *shared_out, "-m", "slow")[1:] == [
        "2 marked `torch` left out: `make test-torch` runs them",
        "1 marked `recording` left out: they record histories anew;"
        " tests/histories/README.md says how",
        "2 left out by the arguments of this run",
    ]
    assert _lines(path, *shared_out, "-m", "") == ["0", "1 skipped: the moon is up"]


def test_what_fails_alone_too_has_failed(tmp_path: Path) -> None:
    path = tmp_path / "test_again.py"
    path.write_text(
        "def test_right(): pass\n\n\ndef test_wrong(): assert False\n", encoding="utf-8"
    )
    assert try_again_alone([f"{path}::test_right"]) == 0
    assert try_again_alone([f"{path}::test_right", f"{path}::test_wrong"]) == 1
