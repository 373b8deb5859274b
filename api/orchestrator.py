"""Temporal's client, and how long a request waits for it."""

from dataclasses import dataclass

from temporalio.client import Client


@dataclass(frozen=True)
class Orchestrator:
    """The client connects at its first call, so that the API starts while Temporal is down."""

    client: Client
    query_timeout_seconds: float = 0.5
    start_timeout_seconds: float = 2.0
    update_timeout_seconds: float = 5.0
    view_timeout_seconds: float = 15.0
