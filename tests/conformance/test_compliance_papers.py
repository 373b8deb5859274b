"""What the compliance papers name as evidence exists: tests, commands, pages."""

import json
import re
from pathlib import Path

import pytest
from typer.main import get_command

from muniment.cli.main import app

ROOT = Path(__file__).parents[2]
PAPERS = sorted((ROOT / "docs" / "compliance").glob("*.md"))
_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def _quoted(paper: Path) -> list[str]:
    return _CODE.findall(paper.read_text(encoding="utf-8"))


def test_there_are_papers() -> None:
    wanted = {"controls", "threats", "data-flow", "key-ceremony", "runbooks"}
    assert wanted <= {paper.stem for paper in PAPERS}


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: paper.stem)
def test_what_a_paper_names_is_there(paper: Path) -> None:
    missing = [
        each for each in _quoted(paper) if each.startswith("tests/") and not (ROOT / each).exists()
    ]
    missing += [
        link
        for link in _LINK.findall(paper.read_text(encoding="utf-8"))
        if "://" not in link and not (paper.parent / link).exists()
    ]
    assert missing == []


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: paper.stem)
def test_commands_of_a_paper_are_those_of_the_program(paper: Path) -> None:
    unknown = [
        each
        for each in _quoted(paper)
        if each.startswith("muniment ") and not _is_command(each.split()[1:])
    ]
    assert unknown == []


def _is_command(words: list[str]) -> bool:
    command = get_command(app)
    for word in words:
        commands = getattr(command, "commands", None)
        if commands is None:
            return True  # arguments and options of a command
        if word not in commands:
            return False
        command = commands[word]
    return getattr(command, "commands", None) is None


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: paper.stem)
def test_routes_of_a_paper_are_described(paper: Path) -> None:
    description = json.loads((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8"))
    asked = [each.split() for each in _quoted(paper) if re.match(r"(GET|POST|PUT|DELETE) /", each)]
    described = {
        re.sub(r"\{\w+\}", "{}", path): each for path, each in description["paths"].items()
    }
    unknown = [
        f"{method} {path}"
        for method, path in asked
        if method.lower() not in described.get(re.sub(r"\{\w+\}", "{}", path), {})
    ]
    assert unknown == []


@pytest.mark.parametrize("words", [["holds", "destroy"], ["api-keys"], ["nothing"]])
def test_what_is_no_command_is_found(words: list[str]) -> None:
    assert not _is_command(words)
