"""`muniment retention`: how long files are kept, and what keeps one."""

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
from muniment.cli.options import AsJson, Home, Limit, group_of_commands

if TYPE_CHECKING:
    from muniment.client.resources.retention import FileRetention, RetentionPolicy

retention = group_of_commands("Retention: how long files are kept, and what keeps one.")

LockMode = Literal["governance", "compliance"]
PolicyId = Annotated[str, typer.Argument(metavar="POLICY", help="Id of the policy.")]
FileId = Annotated[str, typer.Argument(metavar="FILE", help="Id of the file.")]
FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]
"""Of times, which are in UTC."""
BypassReason = Annotated[
    str | None,
    typer.Option("--bypass", help="Why a governance lock is shortened; the audit trail keeps it."),
]

COLUMNS: "Columns[RetentionPolicy]" = {
    "id": lambda each: str(each.id),
    "name": lambda each: each.name,
    "from": lambda each: each.event_field or each.trigger,
    "days": lambda each: str(each.days),
    "lock": lambda each: each.lock_mode or "",
    "then": lambda each: each.disposition,
    "ended": lambda each: when(each.ended_at),
}
JUDGED: "Columns[FileRetention]" = {
    "as of": lambda each: when(each.as_of),
    "kept": lambda each: yes(each.kept),
    "until": lambda each: "no date yet" if each.indefinite else when(each.retain_until),
    "by": lambda each: " ".join(dict.fromkeys(claim.kind for claim in each.claims)),
    "then": lambda each: each.disposition,
    "due": lambda each: yes(each.is_due),
}


@retention.command("list")
def list_policies(limit: Limit = 50, home: Home = None, as_json: AsJson = False) -> None:
    """List the tenant's policies, newest first."""
    with connected(home) as muniment:
        listing = muniment.retention.list_policies(limit=limit)
        print_listing(listing, COLUMNS, as_json=as_json)


@retention.command("create")
def create_policy(
    name: Annotated[str, typer.Argument(help="What the policy is called.")],
    days: Annotated[int, typer.Option(min=0, help="How long it keeps files.")],
    collection: Annotated[str | None, typer.Option(help="Id of a collection.")] = None,
    media_type: Annotated[str | None, typer.Option(help="Or image/*.")] = None,
    label: Annotated[str | None, typer.Option(help="Files that have this label.")] = None,
    trigger: Annotated[
        Literal["creation", "last_access", "version"], typer.Option("--from", help="Counted from.")
    ] = "creation",
    event: Annotated[
        str | None, typer.Option(help="Counted from the date in this metadata field.")
    ] = None,
    lock: Annotated[LockMode | None, typer.Option(help="Whether files are locked besides.")] = None,
    disposition: Annotated[
        Literal["none", "review", "delete"], typer.Option("--then", help="What is due then.")
    ] = "none",
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Keep files that fit, those that are there and those that come."""
    with connected(home) as muniment:
        made = muniment.retention.make_policy(
            name,
            days,
            collection_id=collection,
            media_type=media_type,
            label=label,
            trigger=trigger if event is None else "event",
            event_field=event,
            lock_mode=lock,
            disposition=disposition,
        )
        print_record(made, COLUMNS, as_json=as_json)


@retention.command("end")
def end_policy(
    policy_id: PolicyId, bypass: BypassReason = None, home: Home = None, as_json: AsJson = False
) -> None:
    """End a policy: it keeps nothing any more."""
    with connected(home) as muniment:
        ended = muniment.retention.end_policy(policy_id, bypass_reason=bypass)
        print_record(ended, COLUMNS, as_json=as_json)


@retention.command("show")
def show_retention(
    file_id: FileId,
    as_of: Annotated[
        datetime | None, typer.Option("--as-of", formats=FORMATS, help="In UTC.")
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Show what keeps a file, now or at another time, and what becomes of it then."""
    moment = None if as_of is None else as_of.replace(tzinfo=UTC)
    with connected(home) as muniment:
        print_record(muniment.retention.of_file(file_id, as_of=moment), JUDGED, as_json=as_json)


@retention.command("lock")
def lock_file(
    file_id: FileId,
    mode: Annotated[LockMode, typer.Argument(help="Compliance is only ever made longer.")],
    until: Annotated[datetime, typer.Option("--until", formats=FORMATS, help="In UTC.")],
    bypass: BypassReason = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Lock a file until a time: nobody deletes it, nor adds a version."""
    moment = until.replace(tzinfo=UTC)
    with connected(home) as muniment:
        locked = muniment.retention.lock_file(file_id, mode, moment, bypass_reason=bypass)
        print_record(locked, JUDGED, as_json=as_json)
