"""docker-compose.yml on paper: it cannot be run where these tests run."""

import re
from pathlib import Path

import pytest
import yaml

from deploy.embedded.scanner import SCANNING
from muniment.contracts import search_attributes
from muniment.settings.__main__ import document

REPOSITORY = Path(__file__).resolve().parents[2]
Compose = dict[str, dict[str, dict[str, object]]]


@pytest.fixture(scope="module")
def compose() -> Compose:
    loaded: Compose = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
    return loaded


def _strings(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for pair in value.items() for each in pair for text in _strings(each)]
    if isinstance(value, list):
        return [text for each in value for text in _strings(each)]
    return [str(value)]


def test_every_setting_it_gives_is_one_that_exists(compose: Compose) -> None:
    known = set(re.findall(r"`(MUNIMENT_[A-Z_0-9]+)`", document()))
    given = {
        text
        for service in compose["services"].values()
        for text in _strings(service.get("environment", {}))
        if text.startswith("MUNIMENT_") and "__" in text
    }
    assert given
    assert given <= known


def test_every_service_depends_on_services_that_exist(compose: Compose) -> None:
    for name, service in compose["services"].items():
        assert set(_strings_of_keys(service.get("depends_on", {}))) <= set(compose["services"]), (
            name
        )


def _strings_of_keys(value: object) -> list[str]:
    return list(value) if isinstance(value, dict) else []


def test_a_service_waited_for_to_be_healthy_has_a_health_check(compose: Compose) -> None:
    for name, service in compose["services"].items():
        waits = service.get("depends_on", {})
        assert isinstance(waits, dict)
        for other, condition in waits.items():
            if condition["condition"] == "service_healthy":
                assert "healthcheck" in compose["services"][other], f"{name} waits for {other}"


def test_every_file_it_mounts_exists(compose: Compose) -> None:
    for name, service in compose["services"].items():
        for volume in _strings(service.get("volumes", [])):
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (REPOSITORY / source).exists(), f"{name}: {source}"


def test_every_volume_is_declared(compose: Compose) -> None:
    used = {
        volume.split(":")[0]
        for service in compose["services"].values()
        for volume in _strings(service.get("volumes", []))
        if not volume.startswith((".", "/"))
    }
    assert used == set(compose["volumes"])


def test_the_namespace_job_registers_our_search_attributes() -> None:
    script = (REPOSITORY / "deploy" / "compose" / "setup-temporal-namespace.sh").read_text()
    registered = dict(re.findall(r"(Muniment\w+)=(\w+)", script))
    types = {"KEYWORD": "Keyword", "INT": "Int"}
    wanted = {key.name: types[key.indexed_value_type.name] for key in search_attributes.ALL}
    assert registered == wanted


def test_its_scanner_scans_as_that_of_the_embedded_stack(compose: Compose) -> None:
    environment = compose["services"]["scanner"]["environment"]
    assert isinstance(environment, dict)
    prefix = "CLAMD_CONF_"
    told = {
        name.removeprefix(prefix): value
        for name, value in environment.items()
        if name.startswith(prefix)
    }
    assert told == dict(SCANNING)
