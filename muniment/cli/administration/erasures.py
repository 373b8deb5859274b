"""`muniment erasures`: what was erased, and whether a certificate of it holds."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from muniment.cli.administration.printing import Columns, connected, print_listing, when
from muniment.cli.failures import reported
from muniment.cli.options import AsJson, Home, Limit, group_of_commands

if TYPE_CHECKING:  # pydantic and cryptography are loaded when a command runs
    from uuid import UUID

    from muniment.client.resources.erasures import Erasure
    from muniment.erasure_certificates import ErasureStatement

erasures = group_of_commands("Erasures, and the certificates of them.")

COLUMNS: "Columns[Erasure]" = {
    "id": lambda each: str(each.id),
    "file": lambda each: str(each.file_id),
    "state": lambda each: each.state,
    "requested": lambda each: when(each.created_at),
    "finished": lambda each: when(each.finished_at),
}


@erasures.command("list")
def list_erasures(limit: Limit = 50, home: Home = None, as_json: AsJson = False) -> None:
    """List the tenant's erasures, newest first."""
    with connected(home) as muniment:
        print_listing(muniment.erasures.list(limit=limit), COLUMNS, as_json=as_json)


@erasures.command("certificate")
def write_certificate(
    erasure_id: Annotated[str, typer.Argument(metavar="ERASURE", help="Id of the erasure.")],
    home: Home = None,
) -> None:
    """Print the certificate of an erasure, to be kept."""
    with connected(home) as muniment:
        typer.echo(muniment.erasures.certificate(erasure_id).model_dump_json())


@erasures.command("prove")
def prove_content(
    erasure_id: Annotated[str, typer.Argument(metavar="ERASURE", help="Id of the erasure.")],
    copy: Annotated[Path, typer.Argument(metavar="COPY", help="A copy of what was erased.")],
    home: Home = None,
) -> None:
    """Print the opening that shows, with the copy and the certificate, that this was erased."""
    with connected(home) as muniment:
        typer.echo(muniment.erasures.prove(erasure_id, _digest_of(copy).hex()).opening)


@erasures.command("verify")
def verify_certificate(
    certificate: Annotated[Path, typer.Argument(metavar="FILE", help="The certificate.")],
    key: Annotated[
        list[str], typer.Option("--key", help="A verifier key from elsewhere; may be given again.")
    ],
    copy: Annotated[
        Path | None, typer.Option("--copy", help="Whether this is what was erased.")
    ] = None,
    opening: Annotated[
        str, typer.Option("--opening", help="Of that copy: `muniment erasures prove`.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Verify a certificate, without any server."""
    with reported():
        tenant_id, statement = _verified(certificate, key)
        if copy is not None:
            _require_stated(statement, copy, opening)
        if as_json:
            facts = {"tenant_id": str(tenant_id), **statement.model_dump(mode="json")}
            typer.echo(json.dumps(facts))
        else:
            _print(tenant_id, statement)


def _verified(certificate: Path, keys: list[str]) -> "tuple[UUID, ErasureStatement]":
    """Whose it is, and what it states."""
    from muniment.audit.checkpoints import VerifierKey
    from muniment.erasure_certificates import parsed_certificate, verified
    from muniment.errors import InvalidRequest

    try:
        content = certificate.read_bytes()
    except OSError as error:
        raise InvalidRequest(f"{certificate.name} cannot be read: {error.strerror}") from error
    parsed = parsed_certificate(content)
    statement = verified(parsed, [VerifierKey.parsed(each) for each in keys])
    return parsed.event.tenant_id, statement


def _require_stated(statement: "ErasureStatement", copy: Path, opening: str) -> None:
    from muniment.erasure_certificates import states_content
    from muniment.errors import CertificateInvalid, InvalidRequest

    try:
        key = bytes.fromhex(opening)
    except ValueError:
        raise InvalidRequest("the opening is hexadecimal: `muniment erasures prove`") from None
    if not states_content(statement, key, _digest_of(copy)):
        raise CertificateInvalid("it does not state that this copy, by this opening, was erased")


def _digest_of(copy: Path) -> bytes:
    from muniment.errors import InvalidRequest

    try:
        with copy.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise InvalidRequest(f"{copy.name} cannot be read: {error.strerror}") from error


def _print(tenant_id: "UUID", statement: "ErasureStatement") -> None:
    from muniment.cli.output import out, print_facts

    facts = {
        "tenant": str(tenant_id),
        "erasure": str(statement.erasure_id),
        "file": str(statement.file_id),
        "requested": f"{when(statement.requested_at)} by {statement.requested_by or 'Muniment'}",
        "reason": statement.reason or "none was given",
        "finished": when(statement.finished_at),
        "methods": ", ".join(statement.methods),
        "keys destroyed": str(statement.keys_destroyed),
    }
    if statement.replay_of is not None:
        facts["erased before"] = f"{when(statement.replay_of)}, and brought back by a backup"
    for each in statement.lives_on:
        until = f" until {when(each.until)}" if each.until else ""
        count = f"{each.count}: " if each.count is not None else ""
        facts[f"lives on: {each.what}"] = f"{count}{each.why}{until}"
    facts["verdict"] = "sound"
    print_facts(out(), facts)
