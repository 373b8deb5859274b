"""Every operation of the OpenAPI description, called with what the description allows and with what it
does not: each answer is of a status that is documented there, in the form that is documented, and none
is 500. With a key of every scope, with another tenant's, with none, and with one that is garbage."""

import os
from dataclasses import dataclass

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.application import create_application
from tests.api.conftest import ApiProcess
from tests.conftest import TenantFixture, make_tenant

EXAMPLES = int(os.environ.get("MUNIMENT_TEST_EXAMPLES", "12"))
"""Of each operation, for each caller that has a key."""
EXAMPLES_OF_STRANGERS = 4
"""For those whom no operation lets in."""
UNKNOWN = ("nobody", "garbage")
CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]
STREAMS = {"GET /v1/events", "GET /v1/jobs/{job_id}/events"}
"""Answers that do not end by themselves: their status is looked at."""
EVENT_STREAM = "text/event-stream"
WAITING_FOR_A_WORKER = ("/cancel", "/pause", "/resume", "/reprioritise")
"""What is asked of a running workflow takes seconds here: only of those that there are not."""
EXPECTED_OUTAGE = 503
"""Where it is documented: no worker makes a view here."""

SCHEMA = schemathesis.openapi.from_dict(create_application().openapi())


@schemathesis.serializer("application/offset+octet-stream")
def serialize_piece(_: object, value: object) -> bytes:
    """A piece of an upload, whatever was made for it."""
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")


def operations() -> list[APIOperation]:
    return [result.ok() for result in SCHEMA.get_all_operations()]


@dataclass(frozen=True)
class Surroundings:
    """A running API, callers by their headers, and the ids of things of the first one's tenant."""

    url: str
    callers: dict[str, dict[str, str]]
    ids: dict[str, str]


@pytest.fixture(scope="module")
def surroundings(api: ApiProcess, postgres_dsn: str) -> Surroundings:
    tenant, other_tenant = make_tenant(postgres_dsn), make_tenant(postgres_dsn)
    return Surroundings(
        api.url,
        {
            "administrator": {"Authorization": f"Bearer {tenant.api_key}"},
            "stranger": {"Authorization": f"Bearer {other_tenant.api_key}"},
            "nobody": {},
            "garbage": {"Authorization": "Bearer mun_0123456789"},
        },
        made_things(api, tenant),
    )


def made_things(api: ApiProcess, tenant: TenantFixture) -> dict[str, str]:
    """One of everything that has an id in an address."""
    headers = {"Authorization": f"Bearer {tenant.api_key}"}
    with httpx.Client(base_url=api.url, headers=headers, trust_env=False, timeout=30) as client:

        def made(path: str, **body: object) -> str:
            answer = client.post(path, json=body)
            assert answer.is_success, answer.text
            return str(answer.json()["id"])

        file = client.post("/v1/files?name=a.txt", content=b"words").json()
        share = client.post("/v1/shares", json={"file_id": file["id"]}).json()
        tus = {"Tus-Resumable": "1.0.0", "Upload-Length": "4", "Upload-Metadata": "filename YQ=="}
        webhook_id = made("/v1/webhooks", url="https://example.com/", events=["file.trashed"])
        group_id = made("/v1/groups", name="g")
        openai_file_id = f"file-{file['id'].replace('-', '')}"
        store_id = made("/openai/v1/vector_stores", name="store")
        batches = f"/openai/v1/vector_stores/{store_id}/file_batches"
        return {
            "openai_file_id": openai_file_id,
            "vector_store_id": store_id,
            "file_batch_id": made(batches, file_ids=[openai_file_id]),
            "file_id": file["id"],
            "job_id": file["job"]["id"],
            "upload_id": client.post("/v1/uploads", headers=tus).json()["id"],
            "share_id": share["id"],
            "token": share["url"].rpartition("/")[2],
            "collection_id": made("/v1/collections", name="c"),
            "key_id": made("/v1/api-keys", name="k", scopes=["search"]),
            "batch_id": made("/v1/batches", files=[file["id"]]),
            "principal_id": made("/v1/principals", kind="user", name="p"),
            "group_id": group_id,
            "grant_id": made("/v1/grants", group_id=group_id, file_id=file["id"], level="read"),
            "webhook_id": webhook_id,
            "delivery_id": made(f"/v1/webhooks/{webhook_id}/test"),
        }


def examples(operation: APIOperation) -> st.SearchStrategy[Case]:
    """Requests that fit the description, and requests that do not."""
    fitting = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    unfitting = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
    return st.one_of(fitting, unfitting)


def require_described(case: Case, surroundings: Surroundings, headers: dict[str, str]) -> None:
    operation = case.operation
    if operation.label in STREAMS:
        arguments = case.as_transport_kwargs(base_url=surroundings.url, headers=headers)
        with requests.request(**arguments, stream=True, timeout=30) as answer:
            assert str(answer.status_code) in operation.definition.raw["responses"], answer.text
        return
    response = case.call(base_url=surroundings.url, headers=headers, timeout=30)
    checks = [*CHECKS]
    if response.headers.get("content-type", [""])[0].startswith(EVENT_STREAM):
        # Described as text, which the check takes for the form of each event.
        checks.remove(response_schema_conformance)
    if response.status_code != EXPECTED_OUTAGE:
        checks.append(not_a_server_error)
    case.validate_response(response, checks=checks, headers=headers)


@pytest.mark.parametrize("operation", operations(), ids=lambda operation: operation.label)
def test_every_answer_is_described(operation: APIOperation, surroundings: Surroundings) -> None:
    strangers = [surroundings.callers[caller] for caller in UNKNOWN]
    known = [headers for caller, headers in surroundings.callers.items() if caller not in UNKNOWN]
    call_often(operation, surroundings, known, EXAMPLES)
    call_often(operation, surroundings, strangers, EXAMPLES_OF_STRANGERS)


def call_often(
    operation: APIOperation, surroundings: Surroundings, callers: list[dict[str, str]], count: int
) -> None:
    """Each caller sends the same: to make a request takes longer than to answer it."""

    @settings(
        max_examples=count,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=examples(operation), of_ours=st.booleans())
    def call(case: Case, of_ours: bool) -> None:
        can_wait = not operation.path.endswith(WAITING_FOR_A_WORKER)
        for name in case.path_parameters or {}:
            if of_ours and can_wait and name in surroundings.ids:
                case.path_parameters[name] = surroundings.ids[name]
        for headers in callers:
            require_described(case, surroundings, headers)

    call()
