"""What administrators do by hand: each command asks for what the OpenAPI description describes, and prints
what is answered."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from muniment.cli import connection
from muniment.client import Muniment
from tests.muniment.cli.conftest import Printed, invoke
from tests.muniment.client.described_api import ID, Described

Command = Callable[..., Printed]


@pytest.fixture
def described() -> Described:
    return Described()


@pytest.fixture
def muniment(described: Described, monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    """Runs `muniment …` against the description."""

    def connect(_: object) -> Muniment:
        return Muniment("http://api", "mun_x", transport=httpx.MockTransport(described))

    monkeypatch.setattr(connection, "connect", connect)
    return lambda *arguments: invoke(arguments, {"TERM": "dumb", "COLUMNS": "200"})


COMMANDS: list[tuple[str, tuple[str, str]]] = [
    ("principals list --name ada", ("GET", "/v1/principals")),
    (f"principals show {ID}", ("GET", "/v1/principals/{principal_id}")),
    ("principals create ada --admin", ("POST", "/v1/principals")),
    (f"principals change {ID} --disable", ("PATCH", "/v1/principals/{principal_id}")),
    (f"principals delete {ID} --successor {ID}", ("DELETE", "/v1/principals/{principal_id}")),
    ("groups list", ("GET", "/v1/groups")),
    ("groups create tax", ("POST", "/v1/groups")),
    (f"groups rename {ID} law", ("PATCH", "/v1/groups/{group_id}")),
    (f"groups delete {ID}", ("DELETE", "/v1/groups/{group_id}")),
    (f"groups members {ID}", ("GET", "/v1/groups/{group_id}/members")),
    (f"groups add {ID} {ID}", ("PUT", "/v1/groups/{group_id}/members/{principal_id}")),
    (f"groups remove {ID} {ID}", ("DELETE", "/v1/groups/{group_id}/members/{principal_id}")),
    (f"grants list --file {ID}", ("GET", "/v1/grants")),
    (f"grants give write --group {ID} --collection {ID}", ("POST", "/v1/grants")),
    (f"grants take {ID}", ("DELETE", "/v1/grants/{grant_id}")),
    ("api-keys list", ("GET", "/v1/api-keys")),
    ("api-keys create scanner --scope files:write --days 30", ("POST", "/v1/api-keys")),
    (f"api-keys revoke {ID}", ("DELETE", "/v1/api-keys/{key_id}")),
    ("invitations list", ("GET", "/v1/invitations")),
    (f"invitations create ada --group {ID} --days 3", ("POST", "/v1/invitations")),
    (f"invitations revoke {ID}", ("DELETE", "/v1/invitations/{invitation_id}")),
    (f"shares list --file {ID}", ("GET", "/v1/shares")),
    (f"shares create {ID} --days 3 --network 192.0.2.0/24", ("POST", "/v1/shares")),
    (f"shares revoke {ID}", ("DELETE", "/v1/shares/{share_id}")),
    ("retention list", ("GET", "/v1/retention-policies")),
    (
        "retention create contracts --days 365 --label contract --event ended_on --then review",
        ("POST", "/v1/retention-policies"),
    ),
    (f"retention end {ID} --bypass mistaken", ("POST", "/v1/retention-policies/{policy_id}/end")),
    (f"retention show {ID} --as-of 2036-01-01", ("GET", "/v1/files/{file_id}/retention")),
    (
        f"retention lock {ID} governance --until 2036-01-01",
        ("PUT", "/v1/files/{file_id}/retention"),
    ),
    ("webhooks list", ("GET", "/v1/webhooks")),
    ("webhooks create https://example.com/ --event file.ready", ("POST", "/v1/webhooks")),
    (f"webhooks change {ID} --disable", ("PATCH", "/v1/webhooks/{webhook_id}")),
    (f"webhooks delete {ID}", ("DELETE", "/v1/webhooks/{webhook_id}")),
    (f"webhooks test {ID}", ("POST", "/v1/webhooks/{webhook_id}/test")),
    (
        f"webhooks deliveries {ID} --state failed",
        ("GET", "/v1/webhooks/{webhook_id}/deliveries"),
    ),
    (
        f"webhooks replay {ID} {ID}",
        ("POST", "/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/replay"),
    ),
    (f"webhooks rotate-secret {ID}", ("POST", "/v1/webhooks/{webhook_id}/rotate-secret")),
    ("tenants list", ("GET", "/v1/tenants")),
    ("tenants create acme", ("POST", "/v1/tenants")),
    (f"tenants disable {ID}", ("PATCH", "/v1/tenants/{tenant_id}")),
    (f"tenants enable {ID}", ("PATCH", "/v1/tenants/{tenant_id}")),
    ("quotas", ("GET", "/v1/quotas")),
    ("holds list", ("GET", "/v1/legal-holds")),
    (
        f"holds place Harbour --file {ID} --collection {ID} --label x --custodian {ID}",
        ("POST", "/v1/legal-holds"),
    ),
    ("tasks --kind quarantine --overdue --mine", ("GET", "/v1/tasks")),
    (f"holds confirm {ID}", ("POST", "/v1/legal-holds/{hold_id}/confirm")),
    (f"holds release {ID}", ("POST", "/v1/legal-holds/{hold_id}/release")),
    ("subjects find Ana --kind erasure --reason letter", ("POST", "/v1/subject-requests")),
    ("subjects list", ("GET", "/v1/subject-requests")),
    (f"subjects show {ID}", ("GET", "/v1/subject-requests/{subject_request_id}/items")),
    (
        f"subjects decide {ID} --approve --exclude {ID}",
        ("POST", "/v1/subject-requests/{subject_request_id}/decisions"),
    ),
]


@pytest.mark.parametrize(("line", "asked"), COMMANDS)
def test_a_command_asks_and_prints(
    muniment: Command, described: Described, line: str, asked: tuple[str, str]
) -> None:
    printed = muniment(*line.split())
    assert printed.returncode == 0, printed.stderr
    assert printed.stdout.strip()
    assert described.asked == [asked]
    as_json = muniment(*line.split(), "--json")
    assert as_json.returncode == 0, as_json.stderr
    if described.answered is None:
        assert as_json.stdout == ""
    else:
        assert json.loads(as_json.stdout)


def test_a_secret_stands_alone_on_standard_output(muniment: Command) -> None:
    printed = muniment("api-keys", "create", "scanner", "--scope", "files:write")
    assert printed.stdout.strip() == "shown-once"
    assert "shown this once" in printed.stderr


def test_a_password_comes_from_a_file(
    muniment: Command, described: Described, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("password") / "password"
    file.write_text("correct horse battery\n")
    printed = muniment("principals", "password", ID, "--password-file", str(file))
    assert printed.returncode == 0, printed.stderr
    assert described.asked == [("PUT", "/v1/principals/{principal_id}/password")]
    assert "horse" not in printed.stdout + printed.stderr


def test_a_matters_events_are_written_to_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.path == f"/v1/legal-holds/{ID}/export"
        return httpx.Response(200, content=b'{"action": "legal_hold.placed"}\n')

    def connect(_: object) -> Muniment:
        return Muniment("http://api", "mun_x", transport=httpx.MockTransport(answer))

    monkeypatch.setattr(connection, "connect", connect)
    file = tmp_path / "matter.jsonl"
    printed = invoke(("holds", "export", str(ID), "--output", file), {"TERM": "dumb"})
    assert printed.returncode == 0, printed.stderr
    assert json.loads(file.read_text()) == {"action": "legal_hold.placed"}


def test_the_copy_of_a_person_is_written_to_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.path == f"/v1/subject-requests/{ID}/export"
        return httpx.Response(200, content=b"PK")

    def connect(_: object) -> Muniment:
        return Muniment("http://api", "mun_x", transport=httpx.MockTransport(answer))

    monkeypatch.setattr(connection, "connect", connect)
    file = tmp_path / "copy.zip"
    printed = invoke(("subjects", "export", str(ID), "--output", file), {"TERM": "dumb"})
    assert printed.returncode == 0, printed.stderr
    assert file.read_bytes() == b"PK"


@pytest.mark.parametrize(
    "line",
    [
        f"principals change {ID}",
        f"webhooks change {ID}",
        "webhooks create https://example.com/",
        "grants give read",
        f"grants give read --principal {ID} --group {ID} --file {ID}",
        f"grants give read --principal {ID}",
        f"grants give owner --principal {ID} --file {ID}",
        "api-keys create x",
        "invitations create ada --days 31",
    ],
)
def test_contradictions_are_usage_errors(
    muniment: Command, described: Described, line: str
) -> None:
    assert muniment(*line.split()).returncode == 2
    assert described.asked == []
