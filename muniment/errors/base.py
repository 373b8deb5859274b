"""What every error of Muniment carries."""

from collections.abc import Sequence
from typing import ClassVar, TypedDict


class WrongField(TypedDict):
    """A field that is wrong, by its path, and what is wrong with it."""

    field: str
    detail: str


class MunimentError(Exception):
    """Base of all errors raised on purpose.

    `detail` says what happened, `remedy` what to do about it; neither ever holds document text,
    secrets or personal data, since both are logged and shown. `retry_after_seconds` is how long a
    retry should wait, where the kind of error says so better than a general back-off.
    """

    problem: ClassVar[str] = "internal"
    title: ClassVar[str] = "Something went wrong"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    retry_after_seconds: ClassVar[float | None] = None
    default_remedy: ClassVar[str] = "Look at the log with the request id; report it if it persists."

    def __init__(
        self,
        detail: str,
        *,
        remedy: str | None = None,
        errors: Sequence[WrongField] = (),
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.remedy = remedy or self.default_remedy
        self.errors = tuple(errors)

    @property
    def problem_type(self) -> str:
        """The problem type as a URN, stable across releases."""
        return f"urn:muniment:problem:{self.problem}"


class ConfigurationError(MunimentError):
    problem = "configuration"
    title = "The settings cannot work"
    default_remedy = "Correct the setting that the detail names; docs/settings.md lists them all."
