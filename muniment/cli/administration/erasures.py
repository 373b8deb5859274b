"""`muniment erasures`: what was erased, and whether a certificate of it holds."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from muniment.cli.administration.printing import Columns, connected, print_listing, when
from muniment.cli.failures import reported
from muniment.cli.options import AsJson, Home, Limit, group_of_commands

if TYPE_CHECKING:  # pydantic and cryptography are loaded when a command runs
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


@erasures.command("verify")
def verify_certificate(
    certificate: Annotated[Path, typer.Argument(metavar="FILE", help="The certificate.")],
    key: Annotated[
        list[str], typer.Option("--key", help="A verifier key from elsewhere; may be given again.")
    ],
    as_json: AsJson = False,
) -> None:
    """Verify a certificate, without any server."""
    with reported():
        statement = _verified(certificate, key)
        if as_json:
            typer.echo(statement.model_dump_json())
        else:
            _print(statement)


def _verified(certificate: Path, keys: list[str]) -> "ErasureStatement":
    from muniment.audit.checkpoints import VerifierKey
    from muniment.erasure_certificates import parsed_certificate, verified
    from muniment.errors import InvalidRequest

    try:
        content = certificate.read_bytes()
    except OSError as error:
        raise InvalidRequest(f"{certificate.name} cannot be read: {error.strerror}") from error
    return verified(parsed_certificate(content), [VerifierKey.parsed(each) for each in keys])


def _print(statement: "ErasureStatement") -> None:
    from muniment.cli.output import out, print_facts

    facts = {
        "erasure": str(statement.erasure_id),
        "file": str(statement.file_id),
        "requested": f"{when(statement.requested_at)} by {statement.requested_by or 'Muniment'}",
        "finished": when(statement.finished_at),
        "methods": ", ".join(statement.methods),
        "keys destroyed": str(statement.keys_destroyed),
    }
    for each in statement.lives_on:
        until = f" until {when(each.until)}" if each.until else ""
        count = f"{each.count}: " if each.count is not None else ""
        facts[f"lives on: {each.what}"] = f"{count}{each.why}{until}"
    facts["verdict"] = "sound"
    print_facts(out(), facts)
