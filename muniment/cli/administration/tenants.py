"""`muniment tenants` and `muniment quotas`: for those who operate, and for what a tenant keeps."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from muniment.cli.administration.printing import (
    Columns,
    connected,
    print_listing,
    print_record,
    print_secret,
    when,
    yes,
)
from muniment.cli.options import AsJson, Home, Limit, group_of_commands

if TYPE_CHECKING:
    from muniment.client.resources.tenant import Allowance
    from muniment.client.resources.tenants import Tenant

tenants = group_of_commands("Tenants, for those who operate the service.")

TenantId = Annotated[str, typer.Argument(metavar="TENANT", help="Id of the tenant.")]

COLUMNS: "Columns[Tenant]" = {
    "id": lambda each: str(each.id),
    "name": lambda each: each.name,
    "operates": lambda each: yes(each.is_operator),
    "disabled": lambda each: when(each.disabled_at),
    "created": lambda each: when(each.created_at),
}


@tenants.command("list")
def list_tenants(limit: Limit = 50, home: Home = None, as_json: AsJson = False) -> None:
    """List tenants, newest first."""
    with connected(home) as muniment:
        print_listing(muniment.tenants.list(limit=limit), COLUMNS, as_json=as_json)


@tenants.command("create")
def create_tenant(
    name: Annotated[str, typer.Argument(help="What its people sign in with.")],
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Make a tenant, and print the API key of its first administrator."""
    with connected(home) as muniment:
        made = muniment.tenants.create(name)
        if as_json or made.administrator is None:
            print_record(made, COLUMNS, as_json=as_json)
        else:
            print_secret(made.administrator.api_key)


@tenants.command("disable")
def disable_tenant(tenant_id: TenantId, home: Home = None, as_json: AsJson = False) -> None:
    """Let nobody of a tenant come in."""
    with connected(home) as muniment:
        changed = muniment.tenants.change(tenant_id, disabled=True)
        print_record(changed, COLUMNS, as_json=as_json)


@tenants.command("enable")
def enable_tenant(tenant_id: TenantId, home: Home = None, as_json: AsJson = False) -> None:
    """Let those of a tenant come in again who could before."""
    with connected(home) as muniment:
        changed = muniment.tenants.change(tenant_id, disabled=False)
        print_record(changed, COLUMNS, as_json=as_json)


def show_quotas(home: Home = None, as_json: AsJson = False) -> None:
    """Show what the tenant keeps, and may keep."""
    with connected(home) as muniment:
        from muniment.cli.output import size_text

        quotas = muniment.quotas()
        print_record(
            quotas,
            {
                "bytes": lambda each: _allowance(each.bytes, size_text),
                "files": lambda each: _allowance(each.files, str),
                "pages": lambda each: _allowance(each.pages, str),
            },
            as_json=as_json,
        )


def _allowance(allowance: "Allowance", written: Callable[[int], str]) -> str:
    limit = "any number" if allowance.limit is None else written(allowance.limit)
    return f"{written(allowance.used)} of {limit}"
