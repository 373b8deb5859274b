"""Temporal's failures, turned back into what people are shown."""

from pydantic import ValidationError
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    ChildWorkflowError,
    FailureError,
    TimeoutError,  # noqa: A004 - Temporal's own, which is what activities fail with
)

from muniment.contracts.failures import ERASED, FILE_HELD, PAUSED, WITHDRAWN
from muniment.contracts.jobs import Problem
from muniment.errors import DependencyUnavailable, MunimentError


def root_cause(error: BaseException) -> BaseException:
    """The failure inside the wrappings of activities and child workflows."""
    while isinstance(error, ActivityError | ChildWorkflowError) and error.cause is not None:
        error = error.cause
    return error


def is_paused(error: BaseException) -> bool:
    cause = root_cause(error)
    return isinstance(cause, ApplicationError) and cause.type == PAUSED


def is_erased(error: BaseException) -> bool:
    cause = root_cause(error)
    return isinstance(cause, ApplicationError) and cause.type == ERASED


def is_withdrawn(error: BaseException) -> bool:
    cause = root_cause(error)
    return isinstance(cause, ApplicationError) and cause.type in (WITHDRAWN, ERASED)


def is_file_held(error: BaseException) -> bool:
    cause = root_cause(error)
    return isinstance(cause, ApplicationError) and cause.type == FILE_HELD


def problem_of(error: BaseException) -> Problem:
    """The Problem that the failure carries; one that says what happened where it carries none."""
    cause = root_cause(error)
    if isinstance(cause, ApplicationError) and cause.details:
        try:
            return Problem.model_validate(cause.details[0])
        except ValidationError:
            # A failure of another making: its details are not ours.
            return problem(MunimentError("A step failed unexpectedly."))
    if isinstance(cause, TimeoutError):
        return problem(
            DependencyUnavailable(
                "A step was not finished within its time.",
                remedy="Retry the job once `muniment doctor` finds nothing wrong.",
            )
        )
    return problem(MunimentError("A step failed unexpectedly."))


def problem(error: MunimentError) -> Problem:
    return Problem(
        type=error.problem_type,
        title=error.title,
        detail=error.detail,
        remedy=error.remedy,
        retryable=error.retryable,
    )


def failure(known: Problem) -> FailureError:
    """The failure with which a workflow ends, so that it reads as failed in Temporal's own UI."""
    return ApplicationError(
        known.detail, known, type=known.type.rsplit(":", 1)[-1], non_retryable=True
    )
