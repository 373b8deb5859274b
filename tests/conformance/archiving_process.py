"""`python -m tests.conformance.archiving_process …`: moto's server, by its own arguments, whose retrievals
begin when they are asked for, as those of S3. By itself it counts them from when the object was archived."""

from datetime import datetime

from moto.s3.models import FakeKey
from moto.server import main

_restore = FakeKey.restore


def _restore_from_now(key: FakeKey, days: int) -> None:
    is_first = key.expiry_date is None
    _restore(key, days)
    if is_first:
        key.status, key._time_progressed = "IN_PROGRESS", datetime.now()  # noqa: DTZ005 - as moto compares


if __name__ == "__main__":
    FakeKey.restore = _restore_from_now  # type: ignore[method-assign] # moto has no setting for it
    main()
