"""The Ray behind the GPU queue: joined by address, or started here and ended with the worker."""

import asyncio
import contextvars
import importlib.util
import logging
import math
import os
import secrets
import shutil
import sys
import tempfile
import threading
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from activities.read.page_image import PageImage
from muniment.contracts.documents import Page
from muniment.errors import ConfigurationError, OcrServiceUnavailable
from muniment.opened_content import MEMORY_ROOT
from muniment.settings import RaySettings
from muniment.transport import ClientFiles, TlsSettings, client_context

if TYPE_CHECKING:
    from activities.ocr_service.service import RayOcrService, ServiceOptions

logger = logging.getLogger(__name__)
T = TypeVar("T")

RAY_TLS = TlsSettings(
    "Ray",
    authorities="MUNIMENT_RAY__CA_FILE",
    address="MUNIMENT_RAY__ADDRESS",
    identity="MUNIMENT_RAY__TLS_CERTIFICATE, __TLS_KEY and __CA_FILE",
)
_JOIN_REMEDY = (
    "See that it runs and takes RAY_AUTH_TOKEN, and that its certificates and those in"
    f" {RAY_TLS.identity} are of one authority, for these machines' addresses, and have not expired."
)
JOIN_SECONDS = 60.0
START_SECONDS = 120.0
STOP_SECONDS = 20.0
WATCH_SECONDS = 3.0
SILENCES = 3
"""So many looks in a row without an answer, and Ray is taken for lost."""
_KEPT = ("PATH", "HOME", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
_KEPT_PREFIXES = ("CUDA_", "NVIDIA_", "RAY_")


def require_ray() -> None:
    """ConfigurationError where Ray is not installed: it is an extra."""
    if importlib.util.find_spec("ray") is None:
        raise ConfigurationError(
            "the GPU queue needs Ray, which is not installed",
            remedy="Install Muniment with its extra `ocr-gpu`, or leave the queue out.",
        )


class OcrCluster:
    """The OCR service of a worker, for the time in between entering and leaving.

    Entering joins the Ray at `settings.address`, or starts one, and returns once replicas serve.
    ConfigurationError, at once, where the settings name files of TLS that cannot be used.
    """

    def __init__(self, settings: RaySettings) -> None:
        os.environ.update(_tls(settings))
        self._settings = settings
        self._resources = AsyncExitStack()
        self._service: RayOcrService | None = None

    @property
    def slots(self) -> int:
        """Pages that the replicas hold together."""
        return self._settings.replicas * self._settings.max_ongoing_requests

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as resources:
            address = self._settings.address
            if address is None:
                address = await resources.enter_async_context(_own_node(self._settings))
            await resources.enter_async_context(_joined(address))
            self._service = await self._deployed()
            self._resources = resources.pop_all()
        logger.info("the OCR service is ready", extra={"slots": self.slots})
        return self

    async def __aexit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._service = None
        await self._resources.aclose()

    async def read(self, number: int, image: PageImage) -> Page:
        """As OcrService.read."""
        if self._service is None:
            raise OcrServiceUnavailable("Ray is not connected.")
        return await self._service.read(number, image)

    async def batch_sizes(self) -> list[int]:
        """Of the latest batches of one replica: how well the waiting time fills them."""
        if self._service is None:
            raise OcrServiceUnavailable("Ray is not connected.")
        return await self._service.batch_sizes()

    async def watch(self) -> None:
        """Raises OcrServiceUnavailable once Ray is lost: the worker then ends, since a queue that
        nobody polls is passed over, and whatever supervises it starts it anew."""
        silences = 0
        while silences < SILENCES:
            await asyncio.sleep(WATCH_SECONDS)
            silences = 0 if await self._answers() else silences + 1
        raise OcrServiceUnavailable("Ray is lost.")

    async def _deployed(self) -> "RayOcrService":
        from activities.ocr_service.service import deploy

        try:
            seconds = self._settings.request_timeout_seconds
            return await _from_ray(lambda: deploy(self._options(), seconds))
        except RuntimeError as error:
            raise OcrServiceUnavailable(
                "The replicas of the OCR service did not start.",
                remedy="Give Ray the cores and GPUs that MUNIMENT_RAY__… asks for; see its log.",
            ) from error

    async def _answers(self) -> bool:
        from activities.ocr_service.service import is_serving

        try:
            async with asyncio.timeout(WATCH_SECONDS):
                return await _from_ray(lambda: is_serving(self._options()))
        except TimeoutError:
            return False

    def _options(self) -> "ServiceOptions":
        from activities.ocr_service.service import ServiceOptions

        settings = self._settings
        return ServiceOptions(
            replicas=settings.replicas,
            gpus_per_replica=settings.gpus_per_replica,
            cpus_per_replica=settings.cpus_per_replica,
            max_ongoing_requests=settings.max_ongoing_requests,
            max_queued_requests=settings.max_queued_requests or self.slots,
            batch_size=settings.batch_size,
            batch_wait_seconds=settings.batch_wait_seconds,
        )


@asynccontextmanager
async def _joined(address: str) -> AsyncIterator[None]:
    import ray  # an extra: loaded by workers that need it

    try:
        async with asyncio.timeout(JOIN_SECONDS):
            await _from_ray(
                lambda: ray.init(
                    address, configure_logging=False, log_to_driver=False, namespace="muniment"
                )
            )
    except TimeoutError:
        # Ray tries on for ever where TLS refuses it, and cannot be told to stop: another process may
        # have more luck, this one has none.
        raise ConfigurationError(
            f"Ray at {address} did not take this worker within {JOIN_SECONDS:g} s",
            remedy=_JOIN_REMEDY,
        ) from None
    except (ConnectionError, RuntimeError, ray.exceptions.RayError) as error:
        raise OcrServiceUnavailable(
            f"No Ray answers at {address} ({type(error).__name__}).",
            remedy=_JOIN_REMEDY,
        ) from error
    try:
        yield
    finally:
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await _from_ray(ray.shutdown)
        except TimeoutError:
            logger.warning("Ray did not let go of this process in time")


async def _from_ray(ask: Callable[[], T]) -> T:
    """What the call returns or raises, made in a thread of its own.

    A Ray that is lost may never answer. The threads of the event loop's pool are waited for when
    the loop closes, without limit; a daemon thread keeps no process from ending.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()

    def tell(result: Callable[[], None]) -> None:
        if not answer.done():  # nobody waits for it any more
            result()

    def run() -> None:
        try:
            result = partial(answer.set_result, context.run(ask))
        except BaseException as error:  # noqa: BLE001 - raised where the answer is awaited
            result = partial(answer.set_exception, error)
        with suppress(RuntimeError):  # the loop is closed by now
            loop.call_soon_threadsafe(tell, result)

    threading.Thread(target=run, name="ray-call", daemon=True).start()
    return await answer


def _require_memory(size: int) -> None:
    """Page images lie in Ray's object store, and that in memory."""
    if size > shutil.disk_usage(MEMORY_ROOT).free:
        raise OcrServiceUnavailable(
            f"{MEMORY_ROOT} has less space free than Ray's object store takes.",
            remedy=f"Enlarge {MEMORY_ROOT} (of a container: its shm_size), or lower"
            " MUNIMENT_RAY__OBJECT_STORE_BYTES.",
        )


@asynccontextmanager
async def _own_node(settings: RaySettings) -> AsyncIterator[str]:
    """Starts a Ray that only who knows a random token may use: its ports are open to the network,
    and whoever reaches one without a token could run code here.

    Ray reads the token once, when it is first imported: a process has one for its life.
    """
    _require_memory(settings.object_store_bytes)
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    # Sockets lie in it, whose paths may have no more than 107 characters.
    folder = tempfile.mkdtemp(prefix="muniment-ray-")
    node = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "worker.ray_node", "--folder", folder, *_node_arguments(settings)),
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
        env=_environment(),
        start_new_session=True,
    )
    try:
        yield await _address_of(node)
    finally:
        await _end(node)
        # Where the node was killed, it could not do so itself.
        shutil.rmtree(folder, ignore_errors=True)


def _tls(settings: RaySettings) -> dict[str, str]:
    """Ray's own variables, which it reads when it is first imported: every process of it, and this one,
    then shows a certificate and asks for one (Ray, TLS authentication)."""
    named = (settings.tls_certificate, settings.tls_key, settings.ca_file)
    if named == (None, None, None):
        return {}
    certificate, key, authorities = named
    if certificate is None or key is None or authorities is None:
        raise ConfigurationError(f"three files belong together: {RAY_TLS.identity}")
    client_context(ClientFiles(authorities, certificate, key), RAY_TLS)
    return {
        "RAY_USE_TLS": "1",
        "RAY_TLS_SERVER_CERT": str(certificate.absolute()),
        "RAY_TLS_SERVER_KEY": str(key.absolute()),
        "RAY_TLS_CA_CERT": str(authorities.absolute()),
    }


def _node_arguments(settings: RaySettings) -> list[str]:
    # Serve's own controller takes no core, but Ray gives out whole numbers only.
    cpus = max(1, math.ceil(settings.replicas * settings.cpus_per_replica))
    arguments = ["--cpus", str(cpus), "--object-store-bytes", str(settings.object_store_bytes)]
    if settings.gpus_per_replica == 0:
        arguments += ["--gpus", "0"]
    return arguments


def _environment() -> dict[str, str]:
    """None of our settings: they hold the database's address and the way to the keys."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT or name.startswith(_KEPT_PREFIXES)
    } | {"ORT_DISABLE_TELEMETRY": "1", "PYTHONUNBUFFERED": "1"}


async def _address_of(node: Process) -> str:
    if node.stdout is None:
        raise OcrServiceUnavailable("Ray was started without a pipe.")
    try:
        async with asyncio.timeout(START_SECONDS):
            line = await node.stdout.readline()
    except TimeoutError:
        line = b""
    if not line:
        raise OcrServiceUnavailable("Ray did not start.")
    return line.decode().strip()


async def _end(node: Process) -> None:
    """Closes the pipe, which asks it to end; kills what does not."""
    if node.stdin is not None:
        node.stdin.close()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await node.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            node.kill()
        await node.wait()
