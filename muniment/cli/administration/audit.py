"""`muniment audit`: the trail of what was done, and whether it is what was sealed."""

import json
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from muniment.cli.administration.printing import connected
from muniment.cli.failures import ExitCode, reported
from muniment.cli.options import AsJson, Home, group_of_commands

if TYPE_CHECKING:  # pydantic and cryptography are loaded when a command runs
    from muniment.audit.exported import AnyLine
    from muniment.audit.verification import Verification
    from muniment.client.sync_client import Muniment

audit = group_of_commands("The audit trail, and whether it is what was sealed.")


class ExportFormat(StrEnum):
    """As it was sealed, which can be verified, or as OCSF has events."""

    MUNIMENT = "muniment"
    OCSF = "ocsf"


FormatOption = Annotated[
    ExportFormat,
    typer.Option("--format", help="`muniment` can be verified; `ocsf` is for other systems."),
]
Output = Annotated[Path, typer.Argument(metavar="FILE", help="JSON lines are written to it.")]
Export = Annotated[
    Path | None,
    typer.Argument(metavar="FILE", help="An export; without one the trail as it is now."),
]
Keys = Annotated[
    list[str] | None,
    typer.Option("--key", help="A verifier key that was kept elsewhere; may be given again."),
]
Checkpoints = Annotated[
    list[Path] | None,
    typer.Option("--checkpoint", help="A checkpoint that was kept; may be given again."),
]


@audit.command("checkpoint")
def show_checkpoint(home: Home = None, as_json: AsJson = False) -> None:
    """Print the newest signed checkpoint, to be kept elsewhere."""
    with connected(home) as muniment:
        from muniment.cli.output import print_json

        checkpoint = muniment.audit_trail.checkpoint()
        if as_json:
            print_json(checkpoint)
        else:
            typer.echo(checkpoint.note, nl=False)


@audit.command("export")
def export(
    output: Output, format_: FormatOption = ExportFormat.MUNIMENT, home: Home = None
) -> None:
    """Write the sealed trail, oldest event first: with its checkpoints, or its events in OCSF."""
    with connected(home) as muniment:
        from muniment.cli.output import err
        from muniment.errors import InvalidRequest

        try:
            with output.open("x", encoding="utf-8") as file:
                lines = _lines_of(muniment)
                if format_ is ExportFormat.OCSF:
                    lines = _in_ocsf(lines)
                _write_trail(lines, file, output)
        except OSError as error:
            raise InvalidRequest(
                f"{output.name} cannot be written: {error.strerror}",
                remedy="Name a file that is not there yet, in a folder that you may write to.",
            ) from error
        err().print("exported")


def _write_trail(lines: Iterator[object], file: TextIO, path: Path) -> None:
    """Whole, or the file is taken away again."""
    try:
        for line in lines:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    except BaseException:
        path.unlink()
        raise


def _in_ocsf(lines: Iterator[object]) -> Iterator[object]:
    """The events that are there. Says how many are not: OCSF has no place for them."""
    from muniment.audit.exported import LINES, ExportedEvent, UnplacedEvent
    from muniment.audit.ocsf import ocsf_event
    from muniment.cli.output import err

    faults = 0
    for each in lines:
        line = LINES.validate_python(each)
        told = ocsf_event(line) if isinstance(line, ExportedEvent) else None
        if told is not None:
            yield told
        elif isinstance(line, ExportedEvent | UnplacedEvent):
            faults += 1
    if faults:
        err().print(
            f"left out: {faults} events that were removed, or have no place."
            " `muniment audit verify` names the first."
        )


@audit.command("verify")
def verify(
    export: Export = None,
    key: Keys = None,
    checkpoint: Checkpoints = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Verify an export, or the trail as it is now, against its checkpoints and those that were kept."""
    with reported():
        kept = [_read(path) for path in checkpoint or ()]
        if export is None:
            found = _verified_now(key or (), kept, home)
        else:
            found = _verified_export(export, key or (), kept)
        _print(found, as_json=as_json)
    if not found.is_sound:
        raise typer.Exit(ExitCode.FAILED)


def _verified_export(export: Path, keys: Sequence[str], kept: Sequence[str]) -> "Verification":
    from muniment.errors import InvalidRequest

    if not keys:
        raise InvalidRequest(
            "an export is verified by a key from elsewhere",
            remedy="Give it with --key; `python -m worker.audit_keys show` prints it.",
        )
    return _verified(_exported(export), keys, kept)


def _verified_now(keys: Sequence[str], kept: Sequence[str], home: Path | None) -> "Verification":
    from muniment.cli.connection import connect
    from muniment.cli.output import err

    with connect(home) as muniment:
        if not keys:
            keys = [muniment.audit_trail.checkpoint().verifier_key]
            err().print(f"verified by the key that the server tells: {keys[0]}", markup=False)
        from muniment.audit.exported import LINES

        lines = (LINES.validate_python(line) for line in _lines_of(muniment))
        return _verified(lines, keys, kept)


def _verified(
    lines: "Iterator[AnyLine]",
    keys: Sequence[str],
    kept: Sequence[str],
) -> "Verification":
    from muniment.audit.checkpoints import VerifierKey
    from muniment.audit.verification import Verifier

    verifier = Verifier([VerifierKey.parsed(key) for key in keys], kept)
    for line in lines:
        verifier.take(line)
    return verifier.ended()


def _exported(path: Path) -> "Iterator[AnyLine]":
    """Raises InvalidRequest for what is no export."""
    from pydantic import ValidationError

    from muniment.audit.exported import LINES
    from muniment.errors import InvalidRequest

    number = 1
    try:
        with path.open("rb") as file:
            for line in file:
                yield LINES.validate_json(line)
                number += 1
    except OSError as error:
        raise InvalidRequest(f"{path.name} cannot be read: {error.strerror}") from error
    except ValidationError:
        raise InvalidRequest(
            f"line {number} of {path.name} is no line of an export",
            remedy="It was changed or cut short: export the trail anew, or take another copy.",
        ) from None


def _lines_of(muniment: "Muniment") -> Iterator[object]:
    """Up to the checkpoint that is the newest now: the export itself adds to the trail."""
    until = muniment.audit_trail.checkpoint().size
    first: int | None = 0
    while first is not None:
        part = muniment.audit_trail.export(first=first, until=until)
        yield from part.data
        first = part.next


def _read(path: Path) -> str:
    from muniment.errors import InvalidRequest

    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{path.name} cannot be read") from error


def _print(found: "Verification", *, as_json: bool) -> None:
    from muniment.cli.output import out, print_facts

    if as_json:
        from dataclasses import asdict

        typer.echo(json.dumps({"sound": found.is_sound, **asdict(found)}, default=str))
        return
    facts = {
        "events": f"{found.events}, of which checkpoints prove {found.proven}",
        "checkpoints": f"{found.checkpoints} compared",
        "details": f"{found.commitments_sound} as committed, {found.commitments_erased} erased,"
        f" {found.commitments_wrong} changed",
    }
    for heading, finding in (
        ("first fault", found.first),
        ("first changed details", found.first_wrong_details),
    ):
        if finding is not None:
            place = f"event {finding.seq}"
            if finding.before > finding.seq + 1:
                place = f"between event {finding.seq} and {finding.before - 1}"
            named = f" ({finding.event_id})" if finding.event_id else ""
            facts[heading] = f"{finding.fault} at {place}{named} {finding.detail}".rstrip()
    facts["verdict"] = "sound" if found.is_sound else "NOT what was sealed"
    print_facts(out(), facts)
