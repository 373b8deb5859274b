"""Settings of what a tenant may keep, and how often it may ask."""

from typing import Annotated

from pydantic import Field

from muniment.settings.group import Group

_MOST = 2**63 - 1
"""What a column of PostgreSQL holds."""


class QuotaSettings(Group):
    """What a tenant may keep that has no quota of its own (`python -m db.quotas`)."""

    max_bytes: Annotated[
        int | None,
        Field(
            description="Bytes of all versions of all files, as uploaded; unset: any.",
            ge=0,
            le=_MOST,
        ),
    ] = None
    max_files: Annotated[
        int | None,
        Field(
            description="Files, those that came out of others and those in the trash included;"
            " unset: any.",
            ge=0,
            le=_MOST,
        ),
    ] = None
    max_pages: Annotated[
        int | None,
        Field(description="Pages of all versions of all files; unset: any.", ge=0, le=_MOST),
    ] = None


class RateLimitSettings(Group):
    """How many requests are answered."""

    principal_requests_per_minute: Annotated[
        int,
        Field(
            description="Requests of one principal, with all its keys and sign-ins; a minute's worth may"
            " come at once, more get 429.",
            ge=1,
            le=10_000_000,
        ),
    ] = 12_000
    tenant_requests_per_minute: Annotated[
        int,
        Field(description="Likewise, of all principals of a tenant.", ge=1, le=10_000_000),
    ] = 36_000
    api_processes: Annotated[
        int,
        Field(
            description="API processes that share the requests: each lets its part of the limits"
            " through, and knows nothing of the others: a client that keeps to one connection gets the"
            " part of one.",
            ge=1,
            le=1_000,
        ),
    ] = 1
