"""What is not protected is told of, or refused; what is refused by TLS is told of with its remedy."""

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from db.transport import database_exposures
from muniment.contracts import queues
from muniment.exposure import OWN_RAY, exposures
from muniment.settings import Settings
from tests.api.conftest import start_api, stop_api
from tests.certificates import Authority, Identity, server_tls
from tests.conftest import REPOSITORY
from tests.tls_relay import tls_before
from tests.transport import test_postgresql, test_temporal
from worker.parts import starts_ray

RAY_TLS_FILES = {"tls_certificate": "c", "tls_key": "k", "ca_file": "f"}
ALL_ADDRESSES = "0.0.0.0"  # noqa: S104
EVERYWHERE = {
    "temporal": {"address": "temporal:7233"},
    "objects": {"backend": "s3", "endpoint": "objects:7070", "secure": False},
    "cold_store": {"backend": "s3", "endpoint": "cold:7070", "secure": False},
    "imports": {
        "sources": [
            {
                "name": "scans",
                "tenants": ["*"],
                "endpoint": "10.0.0.9:9000",
                "bucket": "b",
                "access_key": "a",
                "secret_key": "s",
                "secure": False,
            }
        ]
    },
    "scan": {"socket": "scanner:3310"},
    "ray": {"address": "[fd00::1]:6379"},
    "surya": {"url": "http://gpu-1:8000/v1"},
    "models": {"providers": [{"name": "a", "url": "http://models:8000/v1", "model": "m"}]},
    "webhooks": {"allow_http": True},
    "telemetry": {"otlp_endpoint": "http://collector:4318"},
    "worker": {"metrics_port": 9100, "metrics_host": "10.0.0.4"},
    "api": {"host": ALL_ADDRESSES},
}
HOSTS = {
    "temporal", "objects", "cold", "10.0.0.9", "scanner", "fd00::1", "gpu-1", "models",
    "webhooks", "collector", "10.0.0.4", ALL_ADDRESSES,
}  # fmt: skip


def exposed_hosts(**groups: object) -> set[str]:
    return {each.host for each in exposures(Settings.model_validate(groups), [], {})}


def test_every_plain_connection_to_another_machine_is_known() -> None:
    assert exposed_hosts(**EVERYWHERE) == HOSTS


def test_what_is_meant_so_or_stays_on_the_machine_is_no_exposure() -> None:
    intended = {"plaintext_hosts": ", ".join(host.upper() for host in HOSTS)}
    assert exposed_hosts(**EVERYWHERE, transport=intended) == set()
    assert exposed_hosts() == set()
    assert exposed_hosts(
        temporal={"address": "[::1]:7233"}, scan={"socket": "/run/clamd.sock"}, api={"host": "::1"}
    ) == set()  # fmt: skip


@pytest.mark.parametrize(
    "groups",
    [
        {"temporal": {"address": "temporal:7233", "tls": True}},
        {"temporal": {"address": "temporal:7233", "client_certificate": "c", "client_key": "k"}},
        {"objects": {"backend": "s3", "endpoint": "objects:7070"}},
        {"cold_store": {"backend": "s3", "endpoint": "cold:7070"}},
        {"scan": {"socket": "scanner:3310", "tls": True}},
        {"ray": {"address": "a:1", "tls_certificate": "c", "tls_key": "k", "ca_file": "f"}},
        {"surya": {"url": "https://gpu-1/v1"}},
        {"models": {"providers": [{"name": "a", "url": "https://models/v1", "model": "m"}]}},
        {"api": {"host": ALL_ADDRESSES, "tls_certificate": "c", "tls_key": "k"}},
    ],
)
def test_tls_ends_an_exposure(groups: dict[str, object]) -> None:
    assert exposed_hosts(**groups) == set()


@pytest.mark.parametrize(
    ("groups", "names", "environment", "hosts"),
    [
        ({}, (queues.WORKFLOWS, queues.OCR_GPU), {}, [OWN_RAY]),
        ({}, (queues.WORKFLOWS, queues.OCR_GPU), {"RAY_USE_TLS": "0"}, [OWN_RAY]),
        ({}, (queues.WORKFLOWS, queues.OCR_GPU), {"RAY_USE_TLS": "1"}, []),
        ({}, (queues.WORKFLOWS,), {}, []),
        ({"ray": RAY_TLS_FILES}, (queues.OCR_GPU,), {}, []),
        ({"transport": {"plaintext_hosts": OWN_RAY}}, (queues.OCR_GPU,), {}, []),
        ({"ocr": {"engine": "surya"}}, (queues.OCR_GPU,), {}, []),
        ({"ray": {"address": "gpu-1:6379"}}, (queues.OCR_GPU,), {}, ["gpu-1"]),
        ({"ray": {"address": "gpu-1:6379"}}, (), {"RAY_USE_TLS": "true"}, []),
    ],
)
def test_a_ray_is_exposed_unless_it_uses_tls_by_whoever_says_so(
    groups: dict[str, object], names: tuple[str, ...], environment: dict[str, str], hosts: list[str]
) -> None:
    settings = Settings.model_validate(groups)
    found = exposures(settings, [], environment, starts_ray=starts_ray(settings, names))
    assert [each.host for each in found] == hosts


def test_a_worker_whose_own_ray_is_plain_does_not_start_where_tls_is_required() -> None:
    command = [sys.executable, "-m", "worker", "--queues", queues.OCR_GPU]
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MUNIMENT_", "RAY_"))
    }
    environment |= {
        "MUNIMENT_TRANSPORT__REQUIRE_TLS": "true",
        "MUNIMENT_DATABASE__URL": "postgresql:///muniment?host=/run/postgresql",
    }
    ended = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert ended.returncode == 1
    assert "the worker's own Ray" in ended.stderr


def test_a_proxy_keeps_nobody_else_from_speaking_plainly_with_the_api() -> None:
    behind = {"host": ALL_ADDRESSES, "trusted_proxies": "10.0.0.0/8"}
    assert exposed_hosts(api=behind) == {ALL_ADDRESSES}


@pytest.mark.parametrize(
    ("dsn", "environment", "hosts"),
    [
        ("postgresql:///muniment", {"PGHOST": "db.example.org"}, ["db.example.org"]),
        ("postgresql:///muniment", {"PGHOSTADDR": "10.0.0.3"}, ["10.0.0.3"]),
        ("postgresql:///muniment?service=archive", {}, ["archive"]),
        ("postgresql:///muniment", {"PGSERVICE": "archive"}, ["archive"]),
        ("postgresql://database/muniment", {"PGSSLMODE": "verify-full"}, []),
        ("postgresql://database/m?sslmode=require", {"PGSSLMODE": "verify-full"}, ["database"]),
        ("postgresql:///muniment", {"PGHOST": "/run/postgresql"}, []),
        ("postgresql:///muniment", {}, []),
    ],
)
def test_what_libpq_takes_from_the_environment_counts(
    dsn: str, environment: dict[str, str], hosts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("PGHOST", "PGHOSTADDR", "PGSERVICE", "PGSSLMODE"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    assert [each.host for each in database_exposures(dsn)] == hosts


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql+psycopg://user:sekretword@host/database",
        "postgresql://user:p%sekretword@host/database",
        "host=database password='sekretword",
    ],
)
@pytest.mark.parametrize(
    ("arguments", "variable"),
    [
        (("api",), "MUNIMENT_DATABASE__URL"),
        (("worker", "--queues", "muniment"), "MUNIMENT_DATABASE__URL"),
        (("db.migrate",), "MUNIMENT_DATABASE__OWNER_URL"),
        (("db.bootstrap",), "MUNIMENT_DATABASE__OWNER_URL"),
    ],
)
def test_a_dsn_that_cannot_be_read_is_told_without_its_password(
    dsn: str, arguments: tuple[str, ...], variable: str, tmp_path: Path
) -> None:
    roots = {
        f"MUNIMENT_{group}__ROOT": str(tmp_path / group.lower()) for group in ("KEYS", "OBJECTS")
    }
    ended = _wanting_tls(*arguments, **{variable: dsn}, **roots)
    told = ended.stdout + ended.stderr
    assert ended.returncode in (1, 2)
    assert f"{variable} is no DSN that libpq reads" in told
    assert "sekretword" not in told
    assert "Traceback" not in told


def _wanting_tls(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=REPOSITORY,
        env={"MUNIMENT_TRANSPORT__REQUIRE_TLS": "true", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("arguments", [("api",), ("worker", "--queues", "muniment")])
def test_where_tls_is_required_nothing_starts_without(
    arguments: tuple[str, ...], application_dsn: str, tmp_path: Path
) -> None:
    ended = _wanting_tls(
        *arguments,
        MUNIMENT_DATABASE__URL="postgresql://muniment_app@database/muniment",
        MUNIMENT_TEMPORAL__ADDRESS="temporal:7233",
        MUNIMENT_KEYS__ROOT=str(tmp_path / "keys"),
        MUNIMENT_OBJECTS__ROOT=str(tmp_path / "objects"),
    )
    assert ended.returncode in (1, 2)
    told = ended.stdout + ended.stderr
    assert "PostgreSQL, Temporal" in told
    assert not (tmp_path / "objects").exists()


@pytest.mark.parametrize("module", ["db.migrate", "db.bootstrap"])
def test_where_tls_is_required_the_owner_connects_with_it_too(module: str) -> None:
    ended = _wanting_tls(
        module, MUNIMENT_DATABASE__OWNER_URL="postgresql://owner@database/muniment"
    )
    assert ended.returncode == 2
    assert "sslmode=verify-full" in ended.stderr
    assert "MUNIMENT_DATABASE__OWNER_URL" in ended.stderr


@pytest.mark.parametrize(
    ("variable", "named"),
    [
        ("MUNIMENT_API__TLS_CERTIFICATE", "MUNIMENT_API__TLS_KEY"),
        ("MUNIMENT_API__TLS_KEY", "MUNIMENT_API__TLS_CERTIFICATE"),
    ],
)
def test_half_a_pair_is_told(variable: str, named: str, tmp_path: Path) -> None:
    ended = _wanting_tls("api", **{variable: str(tmp_path / "absent.pem")})
    assert ended.returncode == 2
    assert "belong together" in ended.stdout + ended.stderr


def test_an_embedded_stack_refuses_tls_that_it_would_not_serve(
    authority: Authority, us: Identity, tmp_path: Path
) -> None:
    for variable in ("MUNIMENT_API__TLS_CERTIFICATE", "MUNIMENT_TEMPORAL__CA_FILE"):
        ended = subprocess.run(
            [sys.executable, "-m", "deploy.embedded", "up", "--home", str(tmp_path / "home")],
            cwd=REPOSITORY,
            env={variable: str(us.certificate)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ended.returncode == 1
        assert "an embedded stack has no TLS" in ended.stdout + ended.stderr
        assert not (tmp_path / "home" / "postgres").exists()


async def test_readiness_names_the_remedy_of_every_connection_that_tls_refuses(
    application_dsn: str,
    temporal_address: str,
    clamd_socket: str,
    authority: Authority,
    stranger: Authority,
    us: Identity,
    tmp_path: Path,
) -> None:
    """All servers show certificates of an authority that the API does not know."""
    wrong = stranger.issue("127.0.0.1")
    with ExitStack() as servers:
        temporal = servers.enter_context(
            test_temporal.behind_tls(temporal_address, wrong, authority)
        )
        plain = servers.enter_context(test_postgresql.behind_tls(application_dsn, wrong, authority))
        scanner = servers.enter_context(tls_before(clamd_socket, server_tls(wrong)))
        environment = {
            "MUNIMENT_DATABASE__URL": test_postgresql.verified(plain, authority, us),
            "MUNIMENT_TEMPORAL__ADDRESS": temporal,
            "MUNIMENT_TEMPORAL__CA_FILE": str(authority.file),
            "MUNIMENT_OBJECTS__BACKEND": "s3",
            "MUNIMENT_OBJECTS__ENDPOINT": f"127.0.0.1:{scanner}",
            "MUNIMENT_OBJECTS__ACCESS_KEY": "key",
            "MUNIMENT_OBJECTS__SECRET_KEY": "secret",
            "MUNIMENT_OBJECTS__CA_FILE": str(authority.file),
            "MUNIMENT_SCAN__SOCKET": f"127.0.0.1:{scanner}",
            "MUNIMENT_SCAN__CA_FILE": str(authority.file),
            "MUNIMENT_API__HOST": ALL_ADDRESSES,
        }
        api = start_api(tmp_path / "refused", environment)
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
                answer = await client.get(f"{api.url}/readyz")
        finally:
            assert stop_api(api) == 0
    assert answer.status_code == 503
    found = {each["name"]: each for each in answer.json()["dependencies"]}
    remedies = {
        "database": "sslrootcert",
        "temporal": "MUNIMENT_TEMPORAL__CA_FILE",
        "objects": "MUNIMENT_OBJECTS__CA_FILE",
        "scanner": "MUNIMENT_SCAN__CA_FILE",
    }
    for name, remedy in remedies.items():
        assert found[name]["state"] == "down", name
        assert "authority is another" in found[name]["reason"], name
        assert remedy in found[name]["remedy"], name
    assert found["transport"]["state"] == "degraded"
    assert "the API" in found["transport"]["reason"]
    refused = [each for each in api.log_lines if each.get("event") == "not listening"]
    assert "authority is another" in json.dumps(refused)
