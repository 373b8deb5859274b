"""Errors as the command line shows them, and the exit codes they end with."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING

from muniment.errors import ConfigurationError, MunimentError

if TYPE_CHECKING:
    from muniment.client.models import Problem  # pydantic is loaded when there is an error


class ExitCode(IntEnum):
    OK = 0
    FAILED = 1
    """A file or job failed, or the API refused."""
    USAGE = 2
    UNREACHABLE = 3
    INTERRUPTED = 130
    """128 + SIGINT, as shells have it."""
    BROKEN_PIPE = 141
    """128 + SIGPIPE."""


@contextmanager
def reported() -> Iterator[None]:
    """Ends the process with a message and a code instead of a traceback."""
    try:
        yield
    except MunimentError as error:
        sys.exit(report(error))
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        # The reader (`| head`) has gone: the interpreter must not try to flush to it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.BROKEN_PIPE)


def report(error: MunimentError) -> ExitCode:
    """Prints the error; the exit code it stands for."""
    from muniment.cli.output import print_problem
    from muniment.client.problems import ApiUnreachable, StreamBroken

    print_problem(problem_of_error(error))
    if isinstance(error, ApiUnreachable | StreamBroken):
        return ExitCode.UNREACHABLE
    return ExitCode.USAGE if isinstance(error, ConfigurationError) else ExitCode.FAILED


def problem_of_error(error: MunimentError) -> "Problem":
    """The API's own document, or one made of an error of this side."""
    from muniment.client.models import Problem
    from muniment.client.problems import ApiProblem

    if isinstance(error, ApiProblem):
        return error.document.model_copy(update={"remedy": error.remedy})
    return Problem(
        type=error.problem_type, title=error.title, detail=error.detail, remedy=error.remedy
    )
