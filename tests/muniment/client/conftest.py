"""The API for tests and clients that talk to it."""

from collections.abc import Iterator

import pytest

from muniment.client import Muniment, Retry
from tests.muniment.client.api_for_tests import KEY, ApiForTests, serving

QUICK = Retry(attempts=4, first_delay_seconds=0.01, longest_delay_seconds=0.02)


@pytest.fixture
def api() -> Iterator[ApiForTests]:
    with serving(ApiForTests()) as api:
        yield api


@pytest.fixture
def muniment(api: ApiForTests) -> Iterator[Muniment]:
    with Muniment(api.url, KEY, retry=QUICK) as muniment:
        yield muniment
