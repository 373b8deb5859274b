"""An authority that is trusted, another one, and a client that either signed."""

import pytest

from tests.certificates import Authority, Identity


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that nobody trusts."""
    return Authority(tmp_path_factory.mktemp("stranger"))


@pytest.fixture(scope="session")
def us(authority: Authority) -> Identity:
    """The client certificate that servers take."""
    return authority.issue("muniment.test")
