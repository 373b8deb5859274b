"""How many attempts are made at a time, of an endpoint and of a tenant."""

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

BUSY = "endpoint-busy"
BUSY_SECONDS = (0.5, 1.5)
LONGEST_BUSY_SECONDS = 300.0


class Places:
    """Of this process. Where all are taken an attempt waits in Temporal, longer each time, and not in a
    slot that others need."""

    def __init__(self, per_endpoint: int, per_tenant: int) -> None:
        self._per_endpoint = per_endpoint
        self._per_tenant = per_tenant
        self._in_flight = Counter[UUID]()

    @contextmanager
    def taken(self, tenant_id: UUID, webhook_id: UUID) -> Iterator[None]:
        if (
            self._in_flight[webhook_id] >= self._per_endpoint
            or self._in_flight[tenant_id] >= self._per_tenant
        ):
            raise _busy()
        both = Counter((tenant_id, webhook_id))
        self._in_flight += both
        try:
            yield
        finally:
            self._in_flight -= both  # drops those of which nothing is left


def _busy() -> ApplicationError:
    seconds = random.uniform(*BUSY_SECONDS) * 1.5 ** min(activity.info().attempt, 20)  # noqa: S311 - no secret
    return ApplicationError(
        "The endpoint has as many deliveries in flight as it may have.",
        type=BUSY,
        next_retry_delay=timedelta(seconds=min(seconds, LONGEST_BUSY_SECONDS)),
        category=ApplicationErrorCategory.BENIGN,
    )
