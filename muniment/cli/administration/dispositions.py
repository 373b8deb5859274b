"""`muniment retention sweep|sweeps|dispositions|decide`: what becomes of files that nothing keeps."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from muniment.cli.administration.printing import (
    Columns,
    connected,
    print_listing,
    print_record,
    when,
    yes,
)
from muniment.cli.administration.retention import FORMATS, retention
from muniment.cli.options import AsJson, Home, Limit

if TYPE_CHECKING:
    from muniment.client.resources.dispositions import Disposition, RetentionSweep

__all__ = ["retention"]
"""The group, with these commands in it."""

Verdict = Annotated[Literal["approve", "reject"], typer.Argument(help="What you decide.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept with the decision.")]
State = Annotated[str | None, typer.Option("--state", help="In this state.")]

SWEEPS: "Columns[RetentionSweep]" = {
    "id": lambda each: str(each.id),
    "state": lambda each: each.state,
    "dry run": lambda each: yes(each.dry_run),
    "as of": lambda each: when(each.as_of),
    "files": lambda each: str(each.files),
    "to delete": lambda each: str(each.due_deletions),
    "to review": lambda each: str(each.due_reviews),
    "to relabel": lambda each: str(each.due_relabelings),
    "deleted": lambda each: str(each.deleted),
    "ended": lambda each: when(each.finished_at),
}
DISPOSITIONS: "Columns[Disposition]" = {
    "id": lambda each: str(each.id),
    "file": lambda each: str(each.file_id),
    "state": lambda each: each.state,
    "since": lambda each: when(each.created_at),
    "kept until": lambda each: when(each.keep_until),
}


@retention.command("sweep")
def start_sweep(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Judge and count, and no more.")
    ] = False,
    as_of: Annotated[
        datetime | None, typer.Option("--as-of", formats=FORMATS, help="In UTC.")
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Look now at what retention has ended for."""
    moment = None if as_of is None else as_of.replace(tzinfo=UTC)
    with connected(home) as muniment:
        begun = muniment.dispositions.start_sweep(dry_run=dry_run, as_of=moment)
        print_record(begun, SWEEPS, as_json=as_json)


@retention.command("sweeps")
def list_sweeps(
    state: State = None, limit: Limit = 50, home: Home = None, as_json: AsJson = False
) -> None:
    """List sweeps, newest first: what they found, and what they did."""
    with connected(home) as muniment:
        listing = muniment.dispositions.list_sweeps(state=state, limit=limit)
        print_listing(listing, SWEEPS, as_json=as_json)


@retention.command("decide-sweep")
def decide_sweep(
    sweep_id: Annotated[str, typer.Argument(metavar="SWEEP", help="Id of one that waits.")],
    verdict: Verdict,
    reason: Reason,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Decide about a sweep that found more than it may dispose of by itself."""
    with connected(home) as muniment:
        decided = muniment.dispositions.decide_sweep(sweep_id, verdict, reason)
        print_record(decided, SWEEPS, as_json=as_json)


@retention.command("dispositions")
def list_dispositions(
    state: State = None, limit: Limit = 50, home: Home = None, as_json: AsJson = False
) -> None:
    """List files that people are to say whether they are deleted, newest first."""
    with connected(home) as muniment:
        listing = muniment.dispositions.list(state=state, limit=limit)
        print_listing(listing, DISPOSITIONS, as_json=as_json)


@retention.command("decide")
def decide(
    disposition_id: Annotated[str, typer.Argument(metavar="DISPOSITION", help="Id of one.")],
    verdict: Verdict,
    reason: Reason,
    keep_days: Annotated[
        int | None, typer.Option(min=1, help="Of a rejection: not asked again for so long.")
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Decide about a file whose retention has ended; it is deleted when two people approve."""
    with connected(home) as muniment:
        decided = muniment.dispositions.decide(disposition_id, verdict, reason, keep_days=keep_days)
        print_record(decided, DISPOSITIONS, as_json=as_json)
