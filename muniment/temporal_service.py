"""Temporal's services for API and workers, over a connection that is made anew when its certificates are.

The SDK keeps what a connection was made with, and a dozen holders keep the client. So the client is over
this, which passes each call on to the newest connection.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Self

from google.protobuf.message import Message
from temporalio.client import Client
from temporalio.service import ConnectConfig, ServiceClient, ServiceResponse

from muniment.connections import temporal_files, temporal_refusals_as_ours, temporal_tls
from muniment.errors import MunimentError
from muniment.settings import TemporalSettings
from muniment.transport.client import FilesState
from muniment.transport.shown import ShownCertificate

logger = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
"""How soon renewed files are seen; as often a connection that was refused is tried again."""
CONNECT_SECONDS = 30.0


class RenewingService(ServiceClient):
    """Calls that are under way end on the connection on which they began."""

    def __init__(
        self,
        config: ConnectConfig,
        settings: TemporalSettings,
        first: ServiceClient,
        shown: ShownCertificate | None,
        made_with: FilesState,
    ) -> None:
        super().__init__(config)
        self._settings = settings
        self._current = first
        self._shown = shown
        self._files = temporal_files(settings)
        self._made_with = self._refused = made_with

    @classmethod
    async def open(
        cls,
        settings: TemporalSettings,
        shown: ShownCertificate | None = None,
        *,
        lazy: bool = False,
    ) -> Self:
        """`lazy`: at the first call. `shown` is told of this connection and of each renewal. Raises
        ConfigurationError for files that cannot be used, and without `lazy` OrchestratorUnavailable where
        TLS refuses, RuntimeError where Temporal does not answer."""
        # Before they are read: those that are renewed while Temporal is waited for are others.
        made_with = temporal_files(settings).state()
        config = _configuration(settings, lazy=lazy)
        with temporal_refusals_as_ours():
            first = await ServiceClient.connect(config)
        if shown is not None:
            shown.show_anew()
        return cls(config, settings, first, shown, made_with)

    async def watch(self, then: Callable[[], None] = lambda: None) -> None:
        """Looks after the files until cancelled; `then` is called after each renewal, until it succeeds.
        Whatever else fails is logged, and keeps nobody from the next look."""
        is_owed = False
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                is_owed = await self.renew() or is_owed
                if is_owed:
                    then()
                    is_owed = False
            except Exception:
                logger.exception("the certificates for Temporal are not looked after")

    async def renew(self) -> bool:
        """Connects anew where the files have changed; whether it did. Where they cannot be used, as while
        one is replaced before the other, or Temporal does not take them, the former connection stays,
        and the next look tries again."""
        state = self._files.state()
        if state == self._made_with:
            return False
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                with temporal_refusals_as_ours():
                    newest = await ServiceClient.connect(_configuration(self._settings))
        except (MunimentError, RuntimeError, OSError) as error:
            if state != self._refused:
                detail = error.detail if isinstance(error, MunimentError) else type(error).__name__
                logger.error("the certificates for Temporal are not renewed: %s", detail)
            self._refused = state
            return False
        self._current, self._made_with = newest, state
        if self._shown is not None:
            self._shown.show_anew()
        logger.info("the certificates for Temporal are renewed")
        return True

    @property
    def worker_service_client(self) -> ServiceClient:  # type: ignore[override] # the SDK's own is private
        """What a worker is over, which has to be given each newer one (`worker.client = client`)."""
        return self._current.worker_service_client

    def update_rpc_metadata(self, metadata: Mapping[str, str | bytes]) -> None:
        self._current.update_rpc_metadata(metadata)

    def update_api_key(self, api_key: str | None) -> None:
        self._current.update_api_key(api_key)

    async def _rpc_call(
        self,
        rpc: str,
        req: Message,
        resp_type: type[ServiceResponse],
        *,
        service: str,
        retry: bool,
        metadata: Mapping[str, str | bytes],
        timeout: timedelta | None,
    ) -> ServiceResponse:
        return await self._current._rpc_call(
            rpc,
            req,
            resp_type,
            service=service,
            retry=retry,
            metadata=metadata,
            timeout=timeout,
        )


def renewal_of(client: Client) -> RenewingService | None:
    """What renews the client's connection; None for one that is not made by these settings' files."""
    service = client.service_client
    return service if isinstance(service, RenewingService) else None


def _configuration(settings: TemporalSettings, *, lazy: bool = False) -> ConnectConfig:
    return ConnectConfig(
        settings.address,
        api_key=settings.api_key.get_secret_value() if settings.api_key else None,
        tls=temporal_tls(settings),
        lazy=lazy,
    )
