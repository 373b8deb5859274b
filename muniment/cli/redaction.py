"""`muniment redact`: a copy of a file for giving away."""

import time
from pathlib import Path
from typing import Annotated

import typer

from muniment.cli.failures import reported
from muniment.cli.options import Home
from muniment.errors import OrchestratorUnavailable

WAITING_SECONDS = 900.0
"""How long workers may take: what is asked for again after that is found where it was made."""
PAUSE_SECONDS = 2.0


def redact(
    file_id: Annotated[str, typer.Argument(metavar="FILE", help="Id of the file.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the PDF is written.")],
    types: Annotated[
        list[str] | None, typer.Option("--type", help="Only this type of finding; repeatable.")
    ] = None,
    least_confidence: Annotated[
        float, typer.Option(min=0, max=1, help="Leave what was found with less.")
    ] = 0.0,
    version: Annotated[int | None, typer.Option(min=1, help="The version in use, else.")] = None,
    home: Home = None,
) -> None:
    """Write a PDF of pictures of the pages, with what was found painted over."""
    with reported():
        from muniment.cli.connection import connect

        until = time.monotonic() + WAITING_SECONDS
        with connect(home) as muniment:
            while True:
                try:
                    made = muniment.files.redact(
                        file_id, types=types, least_confidence=least_confidence, version=version
                    )
                    break
                except OrchestratorUnavailable:
                    if time.monotonic() >= until:
                        raise
                time.sleep(PAUSE_SECONDS)
        out.write_bytes(made)
