"""The one place where errors become Temporal failures.

A failure's type is the problem's name (`damaged-document`), its first detail the Problem that
people are shown; `workflows/failures.py` reads both back. What a retry cannot cure is marked
non-retryable, so Temporal does not try.
"""

from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from muniment.contracts.jobs import Problem
from muniment.errors import EngineError, MunimentError

ENGINE_ATTEMPTS = 3
"""An engine that failed so often on the same input will not succeed: the failure is final."""
UNEXPECTED_ATTEMPTS = 4
"""An error nobody foresaw may be a passing one; after so many attempts it is a defect."""
PAUSED = "paused"
"""Type of the failure of an activity that came up while its job was paused."""


def problem_of(error: MunimentError) -> Problem:
    """The error as people see it."""
    return Problem(
        type=error.problem_type,
        title=error.title,
        detail=error.detail,
        remedy=error.remedy,
        retryable=error.retryable,
    )


def is_final(error: Exception, attempt: int) -> bool:
    """Whether another attempt would be in vain."""
    if isinstance(error, EngineError):
        return attempt >= ENGINE_ATTEMPTS
    if isinstance(error, MunimentError):
        return not error.retryable
    return attempt >= UNEXPECTED_ATTEMPTS


def application_error(error: Exception, attempt: int) -> ApplicationError:
    """The error as Temporal takes it. An unforeseen one tells its class only: its message could
    quote a document."""
    if not isinstance(error, MunimentError):
        error_class = type(error).__name__
        known = MunimentError(f"An activity failed unexpectedly ({error_class}).")
        return ApplicationError(
            known.detail,
            problem_of(known),
            type=known.problem,
            non_retryable=is_final(error, attempt),
        )
    return ApplicationError(
        error.detail,
        problem_of(error),
        type=error.problem,
        non_retryable=is_final(error, attempt),
        category=_category(error),
    )


def owed(error: MunimentError) -> ApplicationError:
    """The error of work that must be done in the end: it is tried again even where only an operator
    can mend the cause, until the workflow's own budget ends."""
    return ApplicationError(error.detail, problem_of(error), type=error.problem)


def _category(error: MunimentError) -> ApplicationErrorCategory:
    """A damaged document is no fault of the system: benign failures raise no alarms."""
    if error.status < 500:
        return ApplicationErrorCategory.BENIGN
    return ApplicationErrorCategory.UNSPECIFIED


def paused() -> ApplicationError:
    """The job is paused: the workflow schedules the activity again when it resumes."""
    return ApplicationError(
        "The job is paused.",
        type=PAUSED,
        non_retryable=True,
        category=ApplicationErrorCategory.BENIGN,
    )
