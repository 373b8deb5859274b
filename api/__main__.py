"""`python -m api [--shared-port]`: the API process. Reads the settings, builds the services, serves until
SIGTERM."""

import gc

if __name__ == "__main__":
    # Next to nothing of what loading makes is garbage: looking for it costs a third more.
    gc.disable()

import argparse
import asyncio
import logging
import os
import resource
import ssl
import sys
from datetime import timedelta
from functools import partial

import uvloop
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import start_http_server
from sqlalchemy.ext.asyncio import AsyncSession

from api.application import create_application
from api.freed_memory import keep_freed_memory
from api.from_settings import build_services
from api.pagination import DEFAULT_LIMIT
from api.server import Server, listen_beside_others, server_configuration
from api.services import Services
from db.models import now
from db.queries.files import FileFilter, FileOrder, list_files
from muniment.errors import ConfigurationError, MunimentError
from muniment.objects import BlobStore
from muniment.pulse import give_pulse
from muniment.settings import ApiSettings, Settings, load_settings
from muniment.telemetry.logs import configure_logging
from muniment.telemetry.metrics import REGISTRY
from muniment.telemetry.tracing import configure_tracing
from muniment.temporal_service import renewal_of
from muniment.transport.server import ServerCertificate

PROCESS = "api"
LONGEST_UPLOAD = timedelta(hours=24)
_YOUNG_OBJECTS = 10_000
"""The garbage collector looks for cycles after so many new objects. A list of files makes some thousands, of
which next to none need it: at Python's own 700 they were looked through several times while it was made."""
logger = logging.getLogger(__name__)


def _certificate(settings: ApiSettings) -> ServerCertificate | None:
    """None: http. Raises ConfigurationError."""
    if settings.tls_certificate is None and settings.tls_key is None:
        return None
    named_by = "MUNIMENT_API__TLS_CERTIFICATE and __TLS_KEY"
    if settings.tls_certificate is None or settings.tls_key is None:
        raise ConfigurationError(f"a certificate and its key belong together: {named_by}")
    return ServerCertificate(settings.tls_certificate, settings.tls_key, named_by)


async def serve(
    settings: Settings,
    tracing: TracerProvider,
    certificate: ServerCertificate | None,
    *,
    shares_port: bool = False,
) -> None:
    """Serves until the process is told to stop, then ends what it began. With `shares_port` others may
    serve on its port as well."""
    services = await build_services(settings, tracing, certificate)
    await services.database.warm_up(_ask_for_files)
    configuration = server_configuration(
        create_application(services),
        settings.api.host,
        settings.api.port,
        certificate.context if certificate else None,
    )
    # What was made by now stays: the garbage collector need not look through it again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS)
    working = [
        asyncio.create_task(services.events.run()),
        asyncio.create_task(_sweep(services.blobs)),
        asyncio.create_task(services.queries.run()),
        asyncio.create_task(give_pulse(os.environ)),
    ]
    renewal = renewal_of(services.temporal.client)
    if renewal is not None and settings.temporal.uses_tls:
        working.append(asyncio.create_task(renewal.watch()))
    if certificate is not None:
        working.append(asyncio.create_task(certificate.watch()))
    try:
        # Not before: what comes to a socket that listens waits for this process alone.
        shared = [listen_beside_others(configuration)] if shares_port else None
        await Server(configuration, partial(_end_streams, services)).serve(shared)
    finally:
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        await services.under_way.close()
        # What was used of budgets before what was asked, of which some may be lost.
        await services.permits.close()
        await services.cache.close()
        await services.queries.close()
        await services.keys.close()
        await services.database.close()


async def _ask_for_files(session: AsyncSession) -> None:
    """What is asked most."""
    await list_files(session, FileFilter(), FileOrder(), limit=DEFAULT_LIMIT)


def _end_streams(services: Services) -> None:
    services.events.close()
    services.under_way.end()


async def _sweep(blobs: BlobStore) -> None:
    """Removes what the process before left of its uploads if it was killed."""
    try:
        removed = await blobs.sweep_abandoned(now() - LONGEST_UPLOAD)
    except MunimentError as error:
        logger.warning("unfinished uploads cannot be removed", extra={"reason": error.problem})
        return
    if removed:
        logger.info("removed unfinished uploads", extra={"count": removed})


def _serve_metrics(settings: ApiSettings, port: int) -> None:
    """With the API's certificate, as it was at the start. Raises ConfigurationError."""
    certificate, key = settings.tls_certificate, settings.tls_key
    try:
        server, _ = start_http_server(
            port,
            settings.host,
            registry=REGISTRY,
            certfile=str(certificate) if certificate else None,
            keyfile=str(key) if key else None,
            tls_min_version=ssl.TLSVersion.TLSv1_2,
        )
    except OSError as error:
        raise ConfigurationError(
            f"figures cannot be served on port {port}: {error.strerror}",
            remedy="Choose another MUNIMENT_API__METRICS_PORT, or end the program that has it.",
        ) from error
    if isinstance(server.socket, ssl.SSLSocket):
        # Else the one thread that accepts makes each handshake, and waits for whoever says nothing.
        server.socket.do_handshake_on_connect = False  # type: ignore[attr-defined] # not in typeshed


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m api", description="The API process.")
    parser.add_argument(
        "--shared-port",
        action="store_true",
        help="listen beside other API processes of this account on the same port",
    )
    return parser


def main(arguments: list[str]) -> int:
    gc.freeze()
    gc.enable()
    options = _parser().parse_args(arguments)
    # A dump of memory would put what is open and the keys on a disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    keep_freed_memory()
    try:
        settings = load_settings()
        configure_logging(PROCESS, settings.telemetry.level)
        tracing = configure_tracing(PROCESS, settings.telemetry.otlp_endpoint)
        certificate = _certificate(settings.api)
        if settings.api.metrics_port is not None:
            _serve_metrics(settings.api, settings.api.metrics_port)
    except MunimentError as error:
        sys.stderr.write(f"{error.detail}\n{error.remedy}\n")
        return 2
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(settings, tracing, certificate, shares_port=options.shared_port))
    except MunimentError as error:
        logger.error("the API cannot serve: %s %s", error.detail, error.remedy)
        return 2
    finally:
        tracing.shutdown()
    return 0


if __name__ == "__main__":
    code = main(sys.argv[1:])
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    # An interpreter that used the Temporal SDK may abort while it finalizes (sdk-python#300).
    os._exit(code)
