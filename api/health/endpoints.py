"""`/healthz`, `/readyz`, `/metrics`."""

from typing import Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from api.authentication import require
from api.health.checks import ReadinessReport
from api.problem_responses import problems
from api.services import Provided
from muniment.errors import NotFound
from muniment.telemetry.metrics import METRICS_MEDIA_TYPE, metrics_text

router = APIRouter(tags=["health"])


class Alive(BaseModel):
    status: Literal["ok"] = "ok"


@router.get("/healthz", summary="Is the process alive?")
async def healthz() -> Alive:
    """Asks nothing of anyone."""
    return Alive()


@router.get(
    "/readyz",
    summary="Can it serve?",
    response_model=ReadinessReport,
    responses={503: {"model": ReadinessReport, "description": "A required dependency is down."}},
)
async def readyz(services: Provided) -> Response:
    """Each dependency with its state, and what to do where it is not `ok`."""
    report = await services.readiness.report()
    headers = {"Cache-Control": "no-store"}
    return JSONResponse(
        report.model_dump(mode="json"), status_code=200 if report.ready else 503, headers=headers
    )


@router.get(
    "/metrics",
    summary="Prometheus metrics",
    response_class=Response,
    dependencies=[Depends(require("metrics:read"))],
    responses={**problems(404), 200: {"content": {"text/plain": {}}}},
)
async def metrics(services: Provided) -> Response:
    """404 where they are served on a port of their own."""
    if not services.metrics_on_api:
        raise NotFound("metrics are served on a port of their own")
    return Response(metrics_text(), media_type=METRICS_MEDIA_TYPE)
