"""What is started together ends together."""

import ast
import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

import muniment
from muniment.errors import ObjectMissing
from muniment.task_group import of_each, task_group

pytestmark = pytest.mark.asyncio
ROOT = Path(muniment.__file__).parents[1]
PACKAGES = ("activities", "api", "bench", "db", "deploy", "muniment", "retrieval", "worker")


async def test_of_each_runs_so_many_at_once_and_returns_in_order() -> None:
    running, most = 0, 0

    async def act(thing: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01 / (thing + 1))
        running -= 1
        return thing * 2

    assert await of_each(range(10), act, 4) == [thing * 2 for thing in range(10)]
    assert most == 4
    assert await of_each([], act, 4) == []


async def test_a_group_raises_the_first_error_itself_and_leaves_nothing_running() -> None:
    ended: list[str] = []

    async def slow() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("slow")

    async def fails() -> None:
        await asyncio.sleep(0)
        raise ObjectMissing("it is not there")

    async def all_three() -> None:
        async with task_group() as outer:
            outer.create_task(slow())
            async with task_group() as inner:
                inner.create_task(slow())
                inner.create_task(fails())

    with pytest.raises(ObjectMissing, match="it is not there"):
        await all_three()
    assert ended == ["slow", "slow"]


async def test_a_group_gives_back_what_its_tasks_made() -> None:
    async with task_group() as tasks:
        first = tasks.create_task(asyncio.sleep(0, "words"))
        second = tasks.create_task(asyncio.sleep(0, 7))
    assert (first.result(), second.result()) == ("words", 7)


async def test_nothing_is_gathered_that_could_outlive_an_error() -> None:
    """`gather` returns at the first error and leaves the rest running: it is for those alone who
    wait for all, errors included. Workflows are left out: they end with their tasks."""
    assert not list(_careless_gathers())


def _careless_gathers() -> Iterator[str]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if (
                    isinstance(node, ast.Call)
                    and ast.unparse(node.func) == "asyncio.gather"
                    and "return_exceptions" not in {word.arg for word in node.keywords}
                ):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}"
