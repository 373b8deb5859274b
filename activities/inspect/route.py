"""Which queue recognises a document's pages: decided once per document, by an activity, so that the
workflow follows what its history says."""

import logging
import time
from datetime import timedelta
from typing import Literal

from temporalio import activity
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError

from muniment.contracts import queues
from muniment.contracts.ocr import OcrEngineName

logger = logging.getLogger(__name__)

DESCRIBE_TIMEOUT = timedelta(seconds=2)
LONGEST_POLL_SECONDS = 75.0
"""A long poll lasts a minute and is then renewed; who has not polled for longer is gone. The server
remembers pollers for minutes after their death."""


class OcrRoute:
    """`gpu_queue` as in OcrSettings; `engine` is the workers' own."""

    def __init__(
        self,
        gpu_queue: Literal["auto", "on", "off"],
        wait_seconds: float,
        engine: OcrEngineName = OcrEngineName.RAPIDOCR,
    ) -> None:
        self._gpu_queue = gpu_queue
        self._wait_seconds = wait_seconds
        self._engine = engine

    async def gpu_wait_seconds(self, named: OcrEngineName | None = None) -> float | None:
        """How long pages wait in the GPU queue; None when they go to the CPU queue at once. `named`
        is the engine that the job itself asks for. For activities that run with a client."""
        if self._gpu_queue == "off" or not self._reads_there(named or self._engine):
            return None
        if self._gpu_queue == "auto" and not await has_gpu_pollers(activity.client()):
            return None
        return self._wait_seconds

    def _reads_there(self, engine: OcrEngineName) -> bool:
        """Surya reads there or nowhere; RapidOCR where the queue's workers are not Surya's."""
        if engine is OcrEngineName.RAPIDOCR:
            return self._engine is not OcrEngineName.SURYA
        return engine is OcrEngineName.SURYA


async def has_gpu_pollers(client: Client) -> bool:
    """Whether a worker polled the GPU queue of late; not, where Temporal does not say."""
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=queues.OCR_GPU),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
    )
    try:
        answer = await client.workflow_service.describe_task_queue(
            request, timeout=DESCRIBE_TIMEOUT
        )
    except RPCError as error:
        logger.warning("the GPU queue was not described", extra={"reason": error.status.name})
        return False
    since = time.time() - LONGEST_POLL_SECONDS
    return any(poller.last_access_time.ToMicroseconds() > since * 1e6 for poller in answer.pollers)
