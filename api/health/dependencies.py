"""The checks of this deployment."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from temporalio.service import RPCError

from api.health.checks import Check, Finding
from api.health.keys import KeysCheck
from api.health.sandbox import SandboxCheck
from api.health.scanner import ScannerCheck
from api.health.transport import CertificateCheck, TransportCheck
from api.orchestrator import Orchestrator
from api.restoring import LedgerGate
from db.listening import JobEventListener
from db.queries.access import probe
from db.queries.vectors import count_missing_graphs
from db.session import Database
from muniment.connections import temporal_refusals_as_ours
from muniment.embedding import Embedder
from muniment.errors import ConfigurationError, OrchestratorUnavailable
from muniment.objects import BlobStore, BlobTiers
from muniment.sealing import KeyManagement

_RPC_TIMEOUT = timedelta(seconds=2)


@dataclass(frozen=True)
class Dependencies:
    database: Database
    blobs: BlobStore
    tiers: BlobTiers | None
    keys: KeyManagement
    temporal: Orchestrator
    listener: JobEventListener
    gate: LedgerGate
    embedder: Embedder
    scanner: ScannerCheck
    transport: TransportCheck
    certificate: CertificateCheck

    def checks(self) -> tuple[Check, ...]:
        cold = Check("cold_store", required=False, probe=self._cold_store)
        return (
            Check("database", required=True, probe=self._database),
            Check("erasures", required=True, probe=self._erasures),
            Check("objects", required=True, probe=self._objects),
            *([cold] if self.tiers else []),
            Check("keys", required=True, probe=KeysCheck(self.keys).probe),
            Check("temporal", required=True, probe=self._temporal),
            Check("notifications", required=False, probe=self._notifications),
            Check("scanner", required=False, probe=self.scanner.probe),
            Check("sandbox", required=False, probe=SandboxCheck(self.temporal).probe),
            Check("embedding", required=False, probe=self._embedding),
            Check("vector_graphs", required=False, probe=self._vector_graphs),
            Check("transport", required=False, probe=self.transport.probe),
            Check("certificate", required=False, probe=self.certificate.probe),
        )

    async def _database(self) -> Finding | None:
        async with self.database.across_tenants() as session:
            await probe(session)
        return None

    async def _erasures(self) -> Finding | None:
        await self.gate.require_open()
        return None

    async def _objects(self) -> Finding | None:
        await self.blobs.probe()
        return None

    async def _cold_store(self) -> Finding | None:
        if self.tiers is not None:
            await self.tiers.probe_cold()
        return None

    async def _temporal(self) -> Finding | None:
        try:
            with temporal_refusals_as_ours():
                client = self.temporal.client.service_client
                healthy = await client.check_health(timeout=_RPC_TIMEOUT)
        except (RPCError, RuntimeError) as error:
            raise OrchestratorUnavailable(
                f"Temporal does not answer ({type(error).__name__})"
            ) from error
        if not healthy:
            raise OrchestratorUnavailable("Temporal says that it is not serving")
        return None

    async def _notifications(self) -> Finding | None:
        if self.listener.is_connected:
            return None
        return Finding("the LISTEN connection is down: streams poll", "It is made again by itself.")

    async def _embedding(self) -> Finding | None:
        try:
            await asyncio.to_thread(self.embedder.load)
        except ConfigurationError as error:
            return Finding(f"searches by words alone: {error.detail}", error.remedy)
        return None

    async def _vector_graphs(self) -> Finding | None:
        async with self.database.across_tenants() as session:
            count = await count_missing_graphs(session)
        if not count:
            return None
        return Finding(
            f"{count} large index versions have no graph: their searches by meaning measure every"
            " passage",
            "Run `python -m db.vector_graphs` as the schema's owner (docs/vectors.md).",
        )
