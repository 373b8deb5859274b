"""`python -m deploy.demo`: real documents in, one cited answer out, on a stack that is stopped again.

The stack lives in a home of its own, which is kept: the second demo finds every file already there.
Exit codes: 0 the answer came with its citation, 1 it did not, 130 it was interrupted.
"""

import argparse
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.text import Text

from muniment.cli.answers import print_answer
from muniment.cli.connection import connect
from muniment.cli.failures import ExitCode, report
from muniment.cli.ingest.command import IngestOptions, ingest_paths
from muniment.cli.output import out
from muniment.client.location import of_home
from muniment.errors import DependencyUnavailable, MunimentError

QUESTION = "What did the airplane's left wing contact while the student pilot was taxiing?"
SAMPLES = (
    ("ntsb-latrobe-accident-report.pdf", "a born-digital PDF"),
    ("ntsb-fullerton-accident-report-scan.pdf", "a scanned PDF, no text layer"),
    ("safety-meeting-minutes.docx", "a Word document"),
    ("handbook-page-photo.jpg", "a photographed page"),
)
_FOLDER = Path(__file__).parent / "samples"
_DEFAULT_HOME = Path(__file__).parents[1] / ".cache" / "demo-home"
_START_SECONDS = 300.0
_STOP_SECONDS = 120.0


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.demo", description=__doc__)
    parser.add_argument("--home", type=Path, default=_DEFAULT_HOME, help="home of the demo's stack")
    parser.add_argument(
        "--fresh", action="store_true", help="forget the demo before this one (its own home only)"
    )
    options = parser.parse_args(arguments)
    # `kill` stops the stack as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = out()
    started = time.monotonic()
    try:
        if options.fresh:
            _forget_last_demo()
        with running_stack(options.home, console):
            code = show(options.home, console)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except MunimentError as error:
        return report(error)
    if code == ExitCode.OK:
        console.print(f"\nThat was Muniment, in {time.monotonic() - started:.0f} s. Next:")
        console.print("  .venv/bin/muniment up                     start a stack of your own")
        console.print("  .venv/bin/muniment ingest ~/Documents     take your files in")
        console.print('  .venv/bin/muniment ask "What did we …?"   and ask them')
    return code


def show(home: Path, console: Console) -> ExitCode:
    """Ingests the samples and asks the question."""
    console.print(Text("\nTaking four files in", style="bold"))
    width = max(len(name) for name, _ in SAMPLES)
    for name, what in SAMPLES:
        console.print(Text(f"  {name:<{width}}  {what}", style="dim"))
    code = ingest_paths([str(_FOLDER / name) for name, _ in SAMPLES], home, IngestOptions())
    if code != ExitCode.OK:
        return code
    console.print(Text("\nAsking", style="bold"), QUESTION)
    asked = time.monotonic()
    with connect(home) as muniment:
        answer = muniment.query(QUESTION)
    seconds = time.monotonic() - asked
    console.print()
    print_answer(console, answer)
    console.print(Text(f"\nanswered in {seconds:.2f} s", style="dim"))
    cited = any(citation.verified and citation.page for citation in answer.citations)
    if not cited:
        console.print(Text("the answer came without a verified citation", style="red"))
    return ExitCode.OK if cited else ExitCode.FAILED


@contextmanager
def running_stack(home: Path, console: Console) -> Iterator[None]:
    """The embedded stack of a home, started, and stopped however the block ends."""
    console.print(Text("Starting PostgreSQL, Temporal, the API and two workers", style="bold"))
    started = time.monotonic()
    try:
        with console.status("starting"):
            _embedded("up", "--home", str(home), "--detach", timeout_seconds=_START_SECONDS)
        seconds = time.monotonic() - started
        console.print(Text(f"  ready after {seconds:.1f} s at {of_home(home).url}", style="dim"))
        yield
    finally:
        # A second Ctrl-C must not leave half a stack behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _embedded("down", "--home", str(home), timeout_seconds=_STOP_SECONDS)
        console.print(Text("\nthe stack is stopped", style="dim"))


def _embedded(*arguments: str, timeout_seconds: float) -> None:
    """Raises DependencyUnavailable with the supervisor's own words."""
    try:
        process = subprocess.run(
            [sys.executable, "-P", "-m", "deploy.embedded", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DependencyUnavailable(
            f"the stack took longer than {timeout_seconds:.0f} s to go {arguments[0]}"
        ) from None
    if process.returncode != 0:
        raise DependencyUnavailable(
            f"the stack did not go {arguments[0]}:\n{process.stdout.strip()}"
        )


def _forget_last_demo() -> None:
    """Removes the demo's own home, never one that somebody chose."""
    if _DEFAULT_HOME.exists():
        _embedded("down", "--home", str(_DEFAULT_HOME), timeout_seconds=_STOP_SECONDS)
        shutil.rmtree(_DEFAULT_HOME)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
