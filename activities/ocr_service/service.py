"""The worker's side of the OCR service: starts or finds the deployment, and awaits its pages."""

import asyncio
import hashlib
from dataclasses import asdict, dataclass
from importlib.metadata import version

from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import BackPressureError, RayServeException
from ray.serve.handle import DeploymentHandle
from ray.serve.schema import ApplicationStatus

from activities.engines import ENGINE_VERSIONS
from activities.ocr_service.deployment import HEALTH_SECONDS, NAME, PageReader
from activities.read.page_image import PageImage
from muniment.contracts.documents import Page
from muniment.errors import OcrServiceBusy, OcrServiceUnavailable

DEPLOY_SECONDS = 300
_ALIVE = frozenset({ApplicationStatus.RUNNING, ApplicationStatus.DEPLOYING})


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """How the deployment is made; two of different options or versions stand side by side."""

    replicas: int
    gpus_per_replica: float
    cpus_per_replica: float
    max_ongoing_requests: int
    max_queued_requests: int
    batch_size: int
    batch_wait_seconds: float

    @property
    def application(self) -> str:
        """The name in Ray Serve, by content: workers of one configuration share an application, and
        one that is deployed anew with a change does not restart the replicas of the others."""
        told = f"{version('muniment')} {ENGINE_VERSIONS['read_ocr']} {sorted(asdict(self).items())}"
        return f"muniment-ocr-{hashlib.sha256(told.encode()).hexdigest()[:12]}"


class RayOcrService:
    """Awaits pages of one application. Retries are Temporal's: nothing is sent twice here."""

    def __init__(
        self, handle: DeploymentHandle[PageReader], request_timeout_seconds: float
    ) -> None:
        self._handle = handle
        self._request_timeout_seconds = request_timeout_seconds

    async def read(self, number: int, image: PageImage) -> Page:
        """The page. OcrServiceBusy when Ray has too many pages waiting, OcrServiceUnavailable when
        the engine fails, or the replica or Ray itself is lost or does not answer in time. Cancelling
        the awaiting task frees the replica."""
        response = self._handle.read.remote(number, image)
        try:
            async with asyncio.timeout(self._request_timeout_seconds):
                answer: str | None = await response
        except asyncio.CancelledError:
            response.cancel()  # type: ignore[no-untyped-call] # Ray's own lacks a return type
            raise
        except BackPressureError:
            raise OcrServiceBusy("Ray Serve refused a page: too many wait already.") from None
        except (RayError, RayServeException) as error:
            raise OcrServiceUnavailable(
                f"A page was lost in Ray ({type(error).__name__})."
            ) from None
        except TimeoutError:
            response.cancel()  # type: ignore[no-untyped-call] # Ray's own lacks a return type
            raise OcrServiceUnavailable("Ray Serve did not answer in time.") from None
        if answer is None:
            raise OcrServiceUnavailable("The engine of a replica failed of a page.")
        return Page.model_validate_json(answer)

    async def batch_sizes(self) -> list[int]:
        """Of the latest batches of one replica."""
        sizes: list[int] = await self._handle.batch_sizes.remote()
        return sizes


def deploy(options: ServiceOptions, request_timeout_seconds: float) -> RayOcrService:
    """Finds the application or deploys it, and returns once its replicas have loaded. Needs a
    connected Ray; blocks for seconds."""
    name = options.application
    serve.start(proxy_location="Disabled")
    found = serve.status().applications.get(name)
    if found is None or found.status not in _ALIVE:
        serve.run(_application(options), name=name, route_prefix=None)
    return RayOcrService(serve.get_app_handle(name), request_timeout_seconds)


def is_serving(options: ServiceOptions) -> bool:
    """Whether Ray answers and the application's replicas run; blocks until it answers."""
    try:
        found = serve.status().applications.get(options.application)
    except (RayError, RayServeException):
        return False
    return found is not None and found.status in _ALIVE


def _application(options: ServiceOptions) -> serve.Application:
    deployment = serve.deployment(
        name=NAME,
        num_replicas=options.replicas,
        max_ongoing_requests=options.max_ongoing_requests,
        max_queued_requests=options.max_queued_requests,
        health_check_period_s=HEALTH_SECONDS,
        ray_actor_options={
            "num_cpus": options.cpus_per_replica,
            "num_gpus": options.gpus_per_replica,
            # The inference runtime would else phone its maker.
            "runtime_env": {"env_vars": {"ORT_DISABLE_TELEMETRY": "1"}},
        },
    )(PageReader)
    return deployment.bind(
        options.batch_size, options.batch_wait_seconds, on_cuda=options.gpus_per_replica > 0
    )
