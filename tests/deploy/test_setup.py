"""`make setup`: steps are done once, from locked versions."""

import subprocess
import sys
from pathlib import Path

import pytest

import deploy.setup.steps
from deploy.setup import __main__ as setup
from deploy.setup.python_environment import locked_requirement, package_environment
from deploy.setup.steps import SetupFailed, fingerprint, run, step

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def stamps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(deploy.setup.steps, "_STAMPS", tmp_path / "stamps")
    return tmp_path / "stamps"


def test_a_step_runs_again_only_when_its_inputs_change_or_its_result_is_gone(stamps: Path) -> None:
    done: list[str] = []

    def do() -> str:
        done.append("done")
        return "as it should"

    step("a step", "inputs", lambda: True, do)
    step("a step", "inputs", lambda: True, do)
    assert len(done) == 1
    step("a step", "other inputs", lambda: True, do)
    assert len(done) == 2
    step("a step", "other inputs", lambda: False, do)
    assert len(done) == 3


def test_a_step_that_failed_is_tried_again(stamps: Path) -> None:
    def fail() -> str:
        raise SetupFailed("no network")

    for _ in range(2):
        with pytest.raises(SetupFailed, match="no network"):
            step("a step", "inputs", lambda: True, fail)


def test_a_fingerprint_tells_where_one_part_ends() -> None:
    assert fingerprint("ab", "c") != fingerprint("a", "bc")


def test_a_failing_program_is_quoted_with_what_to_do() -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('its last words')"]
    with pytest.raises(SetupFailed, match=r"(?s)Do this\..*its last words"):
        run(command, timeout_seconds=30, failure="Do this.")


def test_uv_is_installed_at_its_locked_hashes() -> None:
    requirement = locked_requirement("uv")
    assert requirement.startswith("uv==")
    assert "--hash=sha256:" in requirement
    assert "# via" not in requirement
    with pytest.raises(SetupFailed):
        locked_requirement("not-a-package-of-ours")


def test_what_pip_is_told_holds_for_uv_unless_uv_is_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "absent"))
    monkeypatch.delenv("UV_DEFAULT_INDEX", raising=False)
    monkeypatch.delenv("UV_FIND_LINKS", raising=False)
    environment = package_environment()
    assert environment["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    assert "UV_FIND_LINKS" not in environment
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://other.example/simple")
    assert package_environment()["UV_DEFAULT_INDEX"] == "https://other.example/simple"


def test_an_old_python_is_told_so_plainly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 1))
    assert setup.main() == 1
    assert "needs Python 3.11" in capsys.readouterr().err


def test_make_help_lists_every_target() -> None:
    answer = subprocess.run(
        ["make", "help"], cwd=REPOSITORY, capture_output=True, text=True, timeout=30, check=True
    )
    for target in ("setup", "demo", "test", "up", "down", "check", "format", "bench", "clean"):
        assert f"make {target}" in answer.stdout
