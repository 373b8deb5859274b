"""The one place where errors become Temporal failures.

A failure's type is the problem's name (`damaged-document`), its first detail the Problem that
people are shown; `workflows/failures.py` reads both back. What a retry cannot cure is marked
non-retryable, so Temporal does not try.
"""

from datetime import timedelta

from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from muniment.contracts.failures import ERASED, FILE_HELD, PAUSED, WITHDRAWN
from muniment.contracts.jobs import Problem
from muniment.errors import (
    DatabaseTooSlow,
    EngineCrashed,
    EngineError,
    EngineOutOfMemory,
    EngineTimedOut,
    MunimentError,
)

ENGINE_ATTEMPTS = 3
"""An engine that failed so often on the same input will not succeed: the failure is final."""
UNEXPECTED_ATTEMPTS = 4
"""An error nobody foresaw may be a passing one; after so many attempts it is a defect."""
SLOW_STATEMENT_ATTEMPTS = 30
"""The better part of an hour: a database under load is faster by then; a statement that is too slow for
this one document is as slow at any time."""
ENGINE_REASONS = tuple(
    kind.problem for kind in (EngineError, EngineCrashed, EngineTimedOut, EngineOutOfMemory)
)


def problem_of(error: MunimentError) -> Problem:
    """The error as people see it."""
    return Problem(
        type=error.problem_type,
        title=error.title,
        detail=error.detail,
        remedy=error.remedy,
        retryable=error.retryable,
    )


def is_final(error: Exception, failures: int) -> bool:
    """Whether another attempt would be in vain after so many failures of its kind, this one
    included: attempts that a service's absence or a worker's death cost do not count, so the
    attempt's number is only the most that it can be."""
    if isinstance(error, EngineError) and error.retryable:
        return failures >= ENGINE_ATTEMPTS
    if isinstance(error, MunimentError):
        return not error.retryable
    return failures >= UNEXPECTED_ATTEMPTS


def is_slow_for_good(error: Exception, failures: int) -> bool:
    """Whether a statement outlasted its limit so often that it will the next time. Asked where such
    failures are counted: an outage of hours says nothing about the first statement after it."""
    return isinstance(error, DatabaseTooSlow) and failures >= SLOW_STATEMENT_ATTEMPTS


def reason_of(error: Exception) -> str:
    """What a job's readers are told of a failure that is tried again."""
    return error.problem if isinstance(error, MunimentError) else MunimentError.problem


def counted_reasons(error: Exception) -> tuple[str, ...]:
    """The reasons that count together with this error's; none where the count does not matter."""
    if isinstance(error, EngineError):
        return ENGINE_REASONS
    if isinstance(error, DatabaseTooSlow):
        return (DatabaseTooSlow.problem,)
    return () if isinstance(error, MunimentError) else (MunimentError.problem,)


def application_error(error: Exception, failures: int) -> ApplicationError:
    """The error as Temporal takes it. An unforeseen one tells its class only: its message could
    quote a document."""
    if not isinstance(error, MunimentError):
        error_class = type(error).__name__
        known = MunimentError(f"An activity failed unexpectedly ({error_class}).")
        return ApplicationError(
            known.detail,
            problem_of(known),
            type=known.problem,
            non_retryable=is_final(error, failures),
        )
    return ApplicationError(
        error.detail,
        problem_of(error),
        type=error.problem,
        non_retryable=is_final(error, failures),
        category=_category(error),
        next_retry_delay=retry_delay(error),
    )


def retry_delay(error: Exception) -> timedelta | None:
    """How long the next attempt waits where the error itself says so; else the policy decides."""
    seconds = error.retry_after_seconds if isinstance(error, MunimentError) else None
    return None if seconds is None else timedelta(seconds=seconds)


def owed(error: MunimentError) -> ApplicationError:
    """The error of work that must be done in the end: it is tried again even where only an operator
    can mend the cause, until the workflow's own budget ends."""
    return ApplicationError(error.detail, problem_of(error), type=error.problem)


def final(error: MunimentError) -> ApplicationError:
    """The error of work whose asker waits, and rather asks again than longer."""
    return ApplicationError(error.detail, problem_of(error), type=error.problem, non_retryable=True)


def _category(error: MunimentError) -> ApplicationErrorCategory:
    """A damaged document is no fault of the system: benign failures raise no alarms."""
    if error.status < 500:
        return ApplicationErrorCategory.BENIGN
    return ApplicationErrorCategory.UNSPECIFIED


def erased() -> ApplicationError:
    """The file is being erased: the workflow ends as if it had been cancelled."""
    return ApplicationError(
        "The file is being erased.",
        type=ERASED,
        non_retryable=True,
        category=ApplicationErrorCategory.BENIGN,
    )


def withdrawn() -> ApplicationError:
    """The file is out of sight or held back: its comparison ends quietly and leaves nothing."""
    return ApplicationError(
        "The file is not ready any more.",
        type=WITHDRAWN,
        non_retryable=True,
        category=ApplicationErrorCategory.BENIGN,
    )


def file_held() -> ApplicationError:
    """Something keeps the file: its erasure waits until nothing does."""
    return ApplicationError(
        "The file must be kept for now.",
        type=FILE_HELD,
        non_retryable=True,
        category=ApplicationErrorCategory.BENIGN,
    )


def paused() -> ApplicationError:
    """The job is paused: the workflow schedules the activity again when it resumes."""
    return ApplicationError(
        "The job is paused.",
        type=PAUSED,
        non_retryable=True,
        category=ApplicationErrorCategory.BENIGN,
    )
