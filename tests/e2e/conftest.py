"""One embedded stack for all end-to-end tests: the real API, workers, Temporal and PostgreSQL."""

from collections.abc import Iterator

import httpx
import pytest

from tests.stack import Stack, running_stack


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("e2e") / "home") as stack:
        yield stack


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    with stack.client() as client:
        yield client
