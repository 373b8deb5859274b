# ruff: noqa: A002 — `next` and `input` are the parameter names of the SDK's interceptors
"""Carries the request id from client through workflow to activity, in a Temporal header.

Give `RequestContextInterceptor` to the client only; workers take it over. The header is one small
payload of its own, made by the default payload converter and passed on as it is: workflows never
decode arguments here, and replay sees nothing, because headers are not compared with history.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, NoReturn, Protocol

import temporalio.activity
import temporalio.client
import temporalio.exceptions
import temporalio.worker
import temporalio.workflow
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadConverter

with temporalio.workflow.unsafe.imports_passed_through():
    from muniment.telemetry import context

logger = logging.getLogger(__name__)

HEADER = "muniment-request"
_BIND = "__muniment_bind_log_context"

Headers = Mapping[str, Payload]
_present: ContextVar[Payload | None] = ContextVar("muniment_request_header", default=None)
"""The header of the message being handled: an update's own, else that which started the workflow."""


class RequestContextInterceptor(temporalio.client.Interceptor, temporalio.worker.Interceptor):
    """Sends the bound request id along, and binds it where the work is done.

    In activities the log context gets `request_id` (when the header came), `workflow_id`,
    `activity` and `attempt`; in workflows `request_id` and `workflow_id`. Every attempt of an
    activity leaves a line when it ends, so that a request id finds all that was done for it.
    """

    def __init__(self) -> None:
        # The lines carry these ids as fields; the SDK would append them to each message as well.
        temporalio.activity.logger.activity_info_on_message = False
        temporalio.workflow.logger.workflow_info_on_message = False

    def intercept_client(
        self, next: temporalio.client.OutboundInterceptor
    ) -> temporalio.client.OutboundInterceptor:
        return _ClientOutbound(next)

    def intercept_activity(
        self, next: temporalio.worker.ActivityInboundInterceptor
    ) -> temporalio.worker.ActivityInboundInterceptor:
        return _ActivityInbound(next)

    def workflow_interceptor_class(
        self, input: temporalio.worker.WorkflowInterceptorClassInput
    ) -> type[temporalio.worker.WorkflowInboundInterceptor]:
        # The log context lives outside the sandbox, where the log lines are made.
        input.unsafe_extern_functions[_BIND] = context.bind
        return _WorkflowInbound


class _WithHeaders(Protocol):
    headers: Headers


def _decoded(headers: Headers) -> str | None:
    payload = headers.get(HEADER)
    if payload is None:
        return None
    value = PayloadConverter.default.from_payload(payload)
    return value if isinstance(value, str) and context.is_request_id(value) else None


class _ClientOutbound(temporalio.client.OutboundInterceptor):
    async def start_workflow(
        self, input: temporalio.client.StartWorkflowInput
    ) -> temporalio.client.WorkflowHandle[Any, Any]:
        _add_bound_request(input)
        return await super().start_workflow(input)

    async def signal_workflow(self, input: temporalio.client.SignalWorkflowInput) -> None:
        _add_bound_request(input)
        await super().signal_workflow(input)

    async def start_workflow_update(
        self, input: temporalio.client.StartWorkflowUpdateInput
    ) -> temporalio.client.WorkflowUpdateHandle[Any]:
        _add_bound_request(input)
        return await super().start_workflow_update(input)

    async def start_update_with_start_workflow(
        self, input: temporalio.client.StartWorkflowUpdateWithStartInput
    ) -> temporalio.client.WorkflowUpdateHandle[Any]:
        _add_bound_request(input.start_workflow_input)
        _add_bound_request(input.update_workflow_input)
        return await super().start_update_with_start_workflow(input)


def _add_bound_request(input: _WithHeaders) -> None:
    request_id = context.request_id()
    if request_id is not None:
        payload = PayloadConverter.default.to_payload(request_id)
        input.headers = {**input.headers, HEADER: payload}


class _ActivityInbound(temporalio.worker.ActivityInboundInterceptor):
    async def execute_activity(self, input: temporalio.worker.ExecuteActivityInput) -> Any:
        info = temporalio.activity.info()
        ids = {"activity": info.activity_type, "attempt": str(info.attempt)}
        if info.workflow_id is not None:
            ids["workflow_id"] = info.workflow_id
        request_id = _decoded(input.headers)
        if request_id is not None:
            ids[context.REQUEST_ID] = request_id
        with context.bound(**ids):
            started = time.perf_counter()
            outcome, level = "completed", logging.INFO
            try:
                return await super().execute_activity(input)
            except (asyncio.CancelledError, temporalio.exceptions.CancelledError):
                outcome = "cancelled"
                raise
            except Exception as error:
                outcome, level = _kind(error), logging.WARNING
                raise
            finally:
                spent = round((time.perf_counter() - started) * 1000, 1)
                told = {"outcome": outcome, "queue": info.task_queue, "milliseconds": spent}
                logger.log(level, "activity ended", extra=told)


def _kind(error: Exception) -> str:
    """The error's kind and never its words, which a library may have taken from a document."""
    if isinstance(error, temporalio.exceptions.ApplicationError) and error.type:
        return error.type
    return type(error).__name__


class _WorkflowInbound(temporalio.worker.WorkflowInboundInterceptor):
    started_with: Payload | None = None

    def init(self, outbound: temporalio.worker.WorkflowOutboundInterceptor) -> None:
        super().init(_WorkflowOutbound(outbound, self))

    async def execute_workflow(self, input: temporalio.worker.ExecuteWorkflowInput) -> Any:
        self.started_with = input.headers.get(HEADER)
        self._enter(input.headers)
        return await super().execute_workflow(input)

    async def handle_signal(self, input: temporalio.worker.HandleSignalInput) -> None:
        self._enter(input.headers)
        await super().handle_signal(input)

    async def handle_update_handler(self, input: temporalio.worker.HandleUpdateInput) -> Any:
        self._enter(input.headers)
        return await super().handle_update_handler(input)

    def _enter(self, headers: Headers) -> None:
        """Makes a message's request the present one, in the context of its own task."""
        payload = headers.get(HEADER, self.started_with)
        _present.set(payload)
        ids = {"workflow_id": temporalio.workflow.info().workflow_id}
        request_id = _decoded({HEADER: payload}) if payload is not None else None
        if request_id is not None:
            ids["request_id"] = request_id
        temporalio.workflow.extern_functions()[_BIND](ids)


class _WorkflowOutbound(temporalio.worker.WorkflowOutboundInterceptor):
    def __init__(
        self, next: temporalio.worker.WorkflowOutboundInterceptor, inbound: _WorkflowInbound
    ) -> None:
        super().__init__(next)
        self._inbound = inbound

    def start_activity(
        self, input: temporalio.worker.StartActivityInput
    ) -> temporalio.workflow.ActivityHandle[Any]:
        self._pass_on(input)
        return super().start_activity(input)

    def start_local_activity(
        self, input: temporalio.worker.StartLocalActivityInput
    ) -> temporalio.workflow.ActivityHandle[Any]:
        self._pass_on(input)
        return super().start_local_activity(input)

    async def start_child_workflow(
        self, input: temporalio.worker.StartChildWorkflowInput
    ) -> temporalio.workflow.ChildWorkflowHandle[Any, Any]:
        self._pass_on(input)
        return await super().start_child_workflow(input)

    async def signal_child_workflow(
        self, input: temporalio.worker.SignalChildWorkflowInput
    ) -> None:
        self._pass_on(input)
        await super().signal_child_workflow(input)

    async def signal_external_workflow(
        self, input: temporalio.worker.SignalExternalWorkflowInput
    ) -> None:
        self._pass_on(input)
        await super().signal_external_workflow(input)

    def continue_as_new(self, input: temporalio.worker.ContinueAsNewInput) -> NoReturn:
        self._pass_on(input)
        super().continue_as_new(input)

    def _pass_on(self, input: _WithHeaders) -> None:
        payload = _present.get() or self._inbound.started_with
        if payload is not None:
            input.headers = {**input.headers, HEADER: payload}
