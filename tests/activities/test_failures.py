"""Which failures are tried again."""

import pytest

from activities.failures import (
    ENGINE_ATTEMPTS,
    SLOW_STATEMENT_ATTEMPTS,
    application_error,
    counted_reasons,
    final,
    is_final,
    is_slow_for_good,
)
from muniment.errors import (
    DamagedDocument,
    DatabaseTooSlow,
    DatabaseUnavailable,
    EngineOutOfMemory,
    EngineTimedOut,
    EngineTimeUsedUp,
    MunimentError,
    StorageFull,
)


@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (DamagedDocument("x"), 1),
        (EngineTimeUsedUp("x"), 1),
        (EngineTimedOut("x"), ENGINE_ATTEMPTS),
        (EngineOutOfMemory("x"), ENGINE_ATTEMPTS),
    ],
)
def test_what_the_same_content_would_cause_again_is_not_tried_again(
    error: MunimentError, attempts: int
) -> None:
    """The clock of a busy machine and its memory may be kinder next time; an engine's own computing
    is the same each time."""
    assert attempts == 1 or not is_final(error, attempts - 1)
    assert is_final(error, attempts)


def test_a_statement_too_slow_for_a_document_is_not_tried_for_ever() -> None:
    """A database that does not answer is waited for, and so is a slow one where nobody counts how
    often it was."""
    slow, absent = DatabaseTooSlow("x"), DatabaseUnavailable("x")
    assert not is_slow_for_good(slow, SLOW_STATEMENT_ATTEMPTS - 1)
    assert is_slow_for_good(slow, SLOW_STATEMENT_ATTEMPTS)
    assert not is_slow_for_good(absent, 1_000)
    assert not any(application_error(error, 1_000).non_retryable for error in (slow, absent))
    assert counted_reasons(slow) == ("database-too-slow",)


def test_a_full_disk_is_waited_for_unless_somebody_waits_for_the_answer() -> None:
    full = StorageFull("x")
    assert not application_error(full, 1_000).non_retryable
    assert final(full).non_retryable
    assert final(full).type == "storage-full"
