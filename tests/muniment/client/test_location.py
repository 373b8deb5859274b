"""Where the API is: what is refused before a key is sent."""

from pathlib import Path

import pytest

from muniment.client.location import locate
from muniment.errors import ConfigurationError

AUTHORITY = Path("authority.pem")


def test_an_authority_is_not_passed_over_by_http() -> None:
    environment = {
        "MUNIMENT_API__URL": "http://docs.example.org",
        "MUNIMENT_API__KEY": "key",
        "MUNIMENT_API__CA_FILE": str(AUTHORITY),
    }
    with pytest.raises(ConfigurationError, match="no https address"):
        locate(environment=environment)
    with pytest.raises(ConfigurationError, match="no https address"):
        locate("http://docs.example.org", "key", environment={}, ca_file=AUTHORITY)
    assert locate("https://docs.example.org", "key", environment={}, ca_file=AUTHORITY).ca_file
