"""How long a receiver asks to be left alone."""

from datetime import UTC, datetime

import pytest

from activities.webhooks.message import retry_after_seconds

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("120", 120.0),
        (" 0 ", 0.0),
        ("999999999999999999999", 86_400.0),
        ("Sat, 21 Nov 2026 12:02:00 GMT", 120.0),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0.0),
        ("Sat, 21 Nov 2099 12:00:00 GMT", 86_400.0),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("١٢", None),
    ],
)
def test_seconds_and_dates_are_understood(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header, NOW) == seconds
