"""Every operation of the OpenAPI description has a method of both clients, which asks for it as it is
described, and reads the answer that is its example."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import httpx
import pytest

from api.openai_compatible.errors import is_below_prefix
from muniment.client import AsyncMuniment, Muniment, Retry, SynonymRule
from muniment.client.models import Record, Tagged
from muniment.client.problems import ApiProblem
from muniment.errors import InvalidRequest
from tests.muniment.client.described_api import DESCRIPTION, ID, Described

METHODS = ("get", "head", "post", "put", "patch", "delete", "options")
MOMENT = datetime(2026, 11, 20, tzinfo=UTC)
LATER = datetime(2026, 11, 21, tzinfo=UTC)
ONCE = Retry(attempts=1)
TARGET = Path("content")
"""In a folder of the test."""

WITHOUT_A_METHOD = {
    # For probes and Prometheus, which have clients of their own.
    ("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/metrics"),
    # Of share links: for browsers of people who have no key.
    ("GET", "/s/{token}"), ("HEAD", "/s/{token}"), ("POST", "/s/{token}"),
    ("GET", "/s/{token}/content"), ("HEAD", "/s/{token}/content"),
    # A head tells what the answer to GET tells.
    ("HEAD", "/v1/files/{file_id}/content"),
    # tus, which `upload(resumable=True)` speaks: test_resumable_upload.py.
    ("OPTIONS", "/v1/uploads"), ("POST", "/v1/uploads"), ("OPTIONS", "/v1/uploads/{upload_id}"),
    ("HEAD", "/v1/uploads/{upload_id}"), ("PATCH", "/v1/uploads/{upload_id}"),
    ("DELETE", "/v1/uploads/{upload_id}"),
    # Whoever signs in has no key yet: clients of OAuth 2.0 do, and pages, which have a cookie.
    ("POST", "/v1/auth/token"), ("POST", "/v1/auth/revoke"), ("GET", "/v1/auth/session"),
    ("POST", "/v1/auth/session"), ("DELETE", "/v1/auth/session"),
    ("POST", "/v1/auth/stream-ticket"),
    # For Temporal's Web UI and command line.
    ("POST", "/v1/temporal/codec/encode"), ("POST", "/v1/temporal/codec/decode"),
}  # fmt: skip

CALLS: dict[str, Callable[[Muniment], object]] = {
    "upload": lambda m: m.upload(b"x", name="a.txt", resumable=False),
    "upload_version": lambda m: m.upload_version(ID, b"x", name="a.txt"),
    "search": lambda m: m.search(
        "lease",
        collection="default",
        filters={"name": "x"},
        fusion={"alpha": 0.5},
        operators=False,
        rerank=True,
        show_duplicates=True,
        max_per_file=1,
        context={"before": 1},
        explain=True,
    ),
    "query": lambda m: m.query("when?"),
    "query_stream": lambda m: m.query_stream("when?"),
    "events": lambda m: m.events(),
    "me": lambda m: m.me(),
    "change_password": lambda m: m.change_password("correct horse", "battery staple"),
    "directory": lambda m: m.directory("ada"),
    "quotas": lambda m: m.quotas(),
    "audit": lambda m: m.audit(action="file.created", object_id=ID, actor_id=ID),
    "files.list": lambda m: m.files.list(filters={"state": "ready"}),
    "files.get": lambda m: m.files.get(ID),
    "files.change": lambda m: m.files.change(
        ID, name="b", collection="c", metadata={"a": None}, labels=["x"], etag='"1"'
    ),
    "files.delete": lambda m: m.files.delete(ID),
    "files.restore": lambda m: m.files.restore(ID),
    "files.content": lambda m: m.files.content(ID, TARGET),
    "files.archive": lambda m: m.files.archive([ID, (ID, 2)], TARGET),
    "files.reprocess": lambda m: m.files.reprocess(ID, chunk_tokens=64),
    "files.compare": lambda m: m.files.compare(ID, ocr_engine="tesseract"),
    "files.versions": lambda m: m.files.versions(ID),
    "files.version": lambda m: m.files.version(ID, 1),
    "files.compare_versions": lambda m: m.files.compare_versions(ID, 2, 1, unchanged=True),
    "files.pages": lambda m: m.files.pages(ID),
    "files.page": lambda m: m.files.page(ID, 1, layer="x"),
    "files.document": lambda m: m.files.document(ID, version=1),
    "files.markdown": lambda m: m.files.markdown(ID),
    "files.text": lambda m: m.files.text(ID),
    "files.page_image": lambda m: m.files.page_image(ID, 1, dpi=72),
    "files.thumbnail": lambda m: m.files.thumbnail(ID),
    "files.redact": lambda m: m.files.redact(
        ID, types=["EMAIL_ADDRESS"], least_confidence=0.5, regions=[(1, (1.0, 2.0, 3.0, 4.0))]
    ),
    "files.chunks": lambda m: m.files.chunks(ID),
    "files.tier": lambda m: m.files.tier(ID),
    "files.move": lambda m: m.files.move(ID, "cold"),
    "jobs.list": lambda m: m.jobs.list(filters={"state": "running"}),
    "jobs.get": lambda m: m.jobs.get(ID),
    "jobs.events": lambda m: m.jobs.events(ID),
    "jobs.cancel": lambda m: m.jobs.cancel(ID),
    "jobs.pause": lambda m: m.jobs.pause(ID),
    "jobs.resume": lambda m: m.jobs.resume(ID),
    "jobs.release": lambda m: m.jobs.release(ID, reason="seen"),
    "jobs.reject": lambda m: m.jobs.reject(ID, reason="seen"),
    "jobs.retry": lambda m: m.jobs.retry(ID, pages=(1, 2)),
    "jobs.reprioritise": lambda m: m.jobs.reprioritise(ID, 2),
    "batches.create": lambda m: m.batches.create([ID], priority=2),
    "batches.import_from": lambda m: m.batches.import_from("scans", "2024/", collection="c"),
    "batches.list": lambda m: m.batches.list(),
    "batches.get": lambda m: m.batches.get(ID),
    "batches.cancel": lambda m: m.batches.cancel(ID),
    "batches.pause": lambda m: m.batches.pause(ID),
    "batches.resume": lambda m: m.batches.resume(ID),
    "comparisons.list": lambda m: m.comparisons.list(),
    "comparisons.summary": lambda m: m.comparisons.summary(since=MOMENT),
    "shares.list": lambda m: m.shares.list(file_id=ID),
    "shares.get": lambda m: m.shares.get(ID),
    "shares.create": lambda m: m.shares.create(
        ID,
        version=1,
        expires_at=MOMENT,
        password="correct horse",
        networks=["192.0.2.0/24"],
        watermark=True,
    ),
    "shares.change": lambda m: m.shares.change(
        ID, expires_at=MOMENT, networks=[], password=None, max_downloads=3, etag='"1"'
    ),
    "shares.revoke": lambda m: m.shares.revoke(ID),
    "keys.rotate": lambda m: m.keys.rotate(),
    "keys.rotations": lambda m: m.keys.rotations(),
    "keys.rotation": lambda m: m.keys.rotation(ID),
    "index_versions.list": lambda m: m.index_versions.list(),
    "index_versions.get": lambda m: m.index_versions.get(ID),
    "index_versions.create": lambda m: m.index_versions.create("x", activation="automatic"),
    "index_versions.activate": lambda m: m.index_versions.activate(ID),
    "index_versions.roll_back": lambda m: m.index_versions.roll_back(ID),
    "index_versions.cancel": lambda m: m.index_versions.cancel(ID),
    "index_versions.pause": lambda m: m.index_versions.pause(ID),
    "index_versions.resume": lambda m: m.index_versions.resume(ID),
    "annotations.list": lambda m: m.annotations.list(
        file_id=ID, version=1, page=1, author=ID, state="open"
    ),
    "annotations.get": lambda m: m.annotations.get(ID, version=1),
    "annotations.create": lambda m: m.annotations.create(
        ID, "why", page=1, exact="x", start=3, region=(1, 2, 3, 4), tags=["t"], colour="#ffd54f"
    ),
    "annotations.change": lambda m: m.annotations.change(
        ID, body="x", tags=[], colour=None, etag='"1"'
    ),
    "annotations.resolve": lambda m: m.annotations.resolve(ID, etag='"1"'),
    "annotations.reopen": lambda m: m.annotations.reopen(ID),
    "annotations.delete": lambda m: m.annotations.delete(ID),
    "annotations.comments": lambda m: m.annotations.comments(ID),
    "annotations.comment": lambda m: m.annotations.comment(ID, ID),
    "annotations.answer": lambda m: m.annotations.answer(ID, "because"),
    "annotations.change_comment": lambda m: m.annotations.change_comment(ID, ID, "x", etag='"1"'),
    "annotations.delete_comment": lambda m: m.annotations.delete_comment(ID, ID),
    "annotations.activity": lambda m: m.annotations.activity(actor=ID),
    "annotations.activity of a file": lambda m: m.annotations.activity(ID),
    "collections.list": lambda m: m.collections.list(),
    "collections.get": lambda m: m.collections.get(ID),
    "collections.create": lambda m: m.collections.create(
        "law", visibility="private", text_mode="full"
    ),
    "collections.change": lambda m: m.collections.change(ID, name="x", etag='"1"'),
    "collections.delete": lambda m: m.collections.delete(ID),
    "principals.list": lambda m: m.principals.list(name="ada", kind="user"),
    "principals.get": lambda m: m.principals.get(ID),
    "principals.create": lambda m: m.principals.create("ada", is_admin=True),
    "principals.change": lambda m: m.principals.change(ID, disabled=True, etag='"1"'),
    "principals.delete": lambda m: m.principals.delete(ID, successor=ID, etag='"1"'),
    "principals.set_password": lambda m: m.principals.set_password(ID, "correct horse", etag='"1"'),
    "principals.identity": lambda m: m.principals.identity(ID),
    "principals.bind_identity": lambda m: m.principals.bind_identity(ID, "subject", etag='"1"'),
    "principals.unbind_identity": lambda m: m.principals.unbind_identity(ID, etag='"1"'),
    "invitations.list": lambda m: m.invitations.list(),
    "invitations.get": lambda m: m.invitations.get(ID),
    "invitations.create": lambda m: m.invitations.create("ada", groups=[ID], expires_at=MOMENT),
    "invitations.revoke": lambda m: m.invitations.revoke(ID),
    "invitations.accept": lambda m: m.invitations.accept("munin_x", password="correct horse"),
    "groups.list": lambda m: m.groups.list(name="x"),
    "groups.get": lambda m: m.groups.get(ID),
    "groups.create": lambda m: m.groups.create("accounting"),
    "groups.rename": lambda m: m.groups.rename(ID, "tax", etag='"1"'),
    "groups.delete": lambda m: m.groups.delete(ID, etag='"1"'),
    "groups.members": lambda m: m.groups.members(ID),
    "groups.add_member": lambda m: m.groups.add_member(ID, ID, etag='"1"'),
    "groups.remove_member": lambda m: m.groups.remove_member(ID, ID, etag='"1"'),
    "grants.list": lambda m: m.grants.list(
        file_id=ID, collection_id=ID, principal_id=ID, group_id=ID
    ),
    "grants.get": lambda m: m.grants.get(ID),
    "grants.create": lambda m: m.grants.create("write", group_id=ID, collection_id=ID),
    "grants.delete": lambda m: m.grants.delete(ID, etag='"write"'),
    "api_keys.list": lambda m: m.api_keys.list(),
    "api_keys.create": lambda m: m.api_keys.create(
        "scanner", ["files:write"], expires_at=MOMENT, principal_id=ID
    ),
    "api_keys.revoke": lambda m: m.api_keys.revoke(ID),
    "webhooks.list": lambda m: m.webhooks.list(),
    "webhooks.get": lambda m: m.webhooks.get(ID),
    "webhooks.create": lambda m: m.webhooks.create(
        "https://example.com/", ["file.ready"], scheme="ed25519"
    ),
    "webhooks.change": lambda m: m.webhooks.change(
        ID, events=["file.ready"], enabled=False, etag='"1"'
    ),
    "webhooks.delete": lambda m: m.webhooks.delete(ID),
    "webhooks.test": lambda m: m.webhooks.test(ID),
    "webhooks.rotate_secret": lambda m: m.webhooks.rotate_secret(ID, scheme="hmac-sha256"),
    "webhooks.deliveries": lambda m: m.webhooks.deliveries(ID, state="failed"),
    "webhooks.delivery": lambda m: m.webhooks.delivery(ID, ID),
    "webhooks.replay": lambda m: m.webhooks.replay(ID, ID),
    "webhooks.replay_range": lambda m: m.webhooks.replay_range(ID, MOMENT, LATER, cursor="x"),
    "audit_trail.checkpoint": lambda m: m.audit_trail.checkpoint(size=7, since=3),
    "audit_trail.proof": lambda m: m.audit_trail.proof(3, size=7),
    "audit_trail.export": lambda m: m.audit_trail.export(first=3, until=7, limit=2),
    "audit_trail.erase_details": lambda m: m.audit_trail.erase_details(ID),
    "integrity.report": lambda m: m.integrity.report(),
    "integrity.faults": lambda m: m.integrity.faults(),
    "integrity.verify": lambda m: m.integrity.verify(),
    "alike_questions.policy": lambda m: m.alike_questions.policy(),
    "alike_questions.set_policy": lambda m: m.alike_questions.set_policy(0.97, etag='"1"'),
    "analytics.queries": lambda m: m.analytics.queries(MOMENT, LATER),
    "analytics.forget": lambda m: m.analytics.forget("0" * 32),
    "analytics.policy": lambda m: m.analytics.policy(),
    "analytics.set_policy": lambda m: m.analytics.set_policy("text", 7, etag='"1"'),
    "conversations.list": lambda m: m.conversations.list(query="lease"),
    "conversations.get": lambda m: m.conversations.get(ID),
    "conversations.create": lambda m: m.conversations.create("Oak Street"),
    "conversations.rename": lambda m: m.conversations.rename(ID, "Oak", etag='"1"'),
    "conversations.delete": lambda m: m.conversations.delete(ID),
    "conversations.export": lambda m: m.conversations.export(ID, "markdown"),
    "conversations.ask": lambda m: m.conversations.ask(ID, "and then?", follows=ID),
    "conversations.regenerate": lambda m: m.conversations.regenerate(ID, ID),
    "conversations.messages": lambda m: m.conversations.messages(ID),
    "conversations.message": lambda m: m.conversations.message(ID, ID),
    "conversations.events": lambda m: m.conversations.events(ID, ID),
    "conversations.ask_stream": lambda m: m.conversations.ask_stream(ID, "when?"),
    "feedback.give": lambda m: m.feedback.give(
        ID, "down", text="no", expected_file=ID, expected_page=2
    ),
    "feedback.list": lambda m: m.feedback.list(verdict="down"),
    "feedback.questions": lambda m: m.feedback.questions(),
    "feedback.delete": lambda m: m.feedback.delete(ID),
    "evaluations.start": lambda m: m.evaluations.start(
        "nightly", [{"id": "1", "text": "when?", "relevant": {"a": 1.0}}], nightly=True
    ),
    "evaluations.list": lambda m: m.evaluations.list(),
    "evaluations.get": lambda m: m.evaluations.get(ID),
    "evaluations.report": lambda m: m.evaluations.report(ID),
    "evaluations.cancel": lambda m: m.evaluations.cancel(ID),
    "evaluations.delete": lambda m: m.evaluations.delete(ID),
    "question_lists.start": lambda m: m.question_lists.start(
        b"question\nwhen?\n", collection="c", max_tokens=9, keep_days=2
    ),
    "question_lists.list": lambda m: m.question_lists.list(),
    "question_lists.get": lambda m: m.question_lists.get(ID),
    "question_lists.events": lambda m: m.question_lists.events(ID),
    "question_lists.answers": lambda m: m.question_lists.answers(ID),
    "question_lists.pause": lambda m: m.question_lists.pause(ID),
    "question_lists.resume": lambda m: m.question_lists.resume(ID, max_tokens=10),
    "question_lists.cancel": lambda m: m.question_lists.cancel(ID),
    "question_lists.delete": lambda m: m.question_lists.delete(ID),
    "tenants.list": lambda m: m.tenants.list(),
    "tenants.get": lambda m: m.tenants.get(ID),
    "tenants.create": lambda m: m.tenants.create("acme"),
    "tenants.change": lambda m: m.tenants.change(ID, disabled=True, etag='"1"'),
    "models.list": lambda m: m.models.list(),
    "models.pause": lambda m: m.models.pause("hosted"),
    "models.resume": lambda m: m.models.resume("hosted"),
    "legal_holds.place": lambda m: m.legal_holds.place(
        "A-17",
        items=[{"query": {"label": "contract"}}],
        custodians=[ID],
        cooling_off_days=30,
        reminder_days=7,
        review_days=1,
    ),
    "legal_holds.list": lambda m: m.legal_holds.list(cursor="abc"),
    "legal_holds.get": lambda m: m.legal_holds.get(ID),
    "legal_holds.items": lambda m: m.legal_holds.items(ID, cursor="abc"),
    "legal_holds.add_items": lambda m: m.legal_holds.add_items(ID, [{"file_id": str(ID)}]),
    "legal_holds.release": lambda m: m.legal_holds.release(ID),
    "legal_holds.confirm": lambda m: m.legal_holds.confirm(ID),
    "tasks.list": lambda m: m.tasks.list(
        kind="quarantine", due_before=LATER, overdue=True, assignee=ID, mine=True, cursor="abc"
    ),
    "tasks.get": lambda m: m.tasks.get(str(ID)),
    "legal_holds.acknowledge": lambda m: m.legal_holds.acknowledge(ID),
    "legal_holds.notices": lambda m: m.legal_holds.notices(),
    "legal_holds.export": lambda m: m.legal_holds.export(ID),
    "retention.make_policy": lambda m: m.retention.make_policy(
        "Contracts", 365, label="contract", disposition="review"
    ),
    "retention.list_policies": lambda m: m.retention.list_policies(cursor="abc"),
    "retention.get_policy": lambda m: m.retention.get_policy(ID),
    "retention.change_policy": lambda m: m.retention.change_policy(
        ID, {"name": "Contracts", "days": 366}, etag='"1"', bypass_reason="a mistake"
    ),
    "retention.end_policy": lambda m: m.retention.end_policy(ID, bypass_reason="a mistake"),
    "retention.of_file": lambda m: m.retention.of_file(ID, as_of=LATER),
    "retention.lock_file": lambda m: m.retention.lock_file(ID, "governance", LATER),
    "findings.list": lambda m: m.findings.list(
        file_id=ID,
        version=1,
        kind="secret",
        entity="CREDIT_CARD",
        act="mask",
        token="[CREDIT_CARD_7Q2MK4XDPA]",
        cursor="abc",
    ),
    "findings.get": lambda m: m.findings.get(ID),
    "findings.value": lambda m: m.findings.value(ID),
    "finding_policies.create": lambda m: m.finding_policies.create(
        "mask", collection_id=ID, kind="secret", entity="JSON_WEB_TOKEN", minimum_confidence=0.5
    ),
    "finding_policies.list": lambda m: m.finding_policies.list(collection_id=ID, cursor="abc"),
    "finding_policies.get": lambda m: m.finding_policies.get(ID),
    "finding_policies.delete": lambda m: m.finding_policies.delete(ID),
    "erasures.request": lambda m: m.erasures.request(ID),
    "erasures.list": lambda m: m.erasures.list(cursor="abc"),
    "erasures.get": lambda m: m.erasures.get(ID),
    "erasures.certificate": lambda m: m.erasures.certificate(ID),
    "subject_requests.open": lambda m: m.subject_requests.open(
        "access", ["Ana Li"], reason="her letter", keep_days=7
    ),
    "subject_requests.list": lambda m: m.subject_requests.list(cursor="abc"),
    "subject_requests.get": lambda m: m.subject_requests.get(ID),
    "subject_requests.items": lambda m: m.subject_requests.items(ID, cursor="abc"),
    "subject_requests.decide": lambda m: m.subject_requests.decide(ID, approve=True, exclude=[ID]),
    "subject_requests.export": lambda m: m.subject_requests.export(ID),
    "subject_requests.statement": lambda m: m.subject_requests.statement(ID),
    "dispositions.start_sweep": lambda m: m.dispositions.start_sweep(dry_run=True),
    "dispositions.list_sweeps": lambda m: m.dispositions.list_sweeps(state="waiting", cursor="abc"),
    "dispositions.get_sweep": lambda m: m.dispositions.get_sweep(ID),
    "dispositions.decide_sweep": lambda m: m.dispositions.decide_sweep(ID, "approve", "agreed"),
    "dispositions.list": lambda m: m.dispositions.list(state="open", cursor="abc"),
    "dispositions.get": lambda m: m.dispositions.get(ID),
    "dispositions.decide": lambda m: m.dispositions.decide(ID, "reject", "not yet", keep_days=30),
    "erasures.prove": lambda m: m.erasures.prove(ID, "00" * 32),
    "synonyms.get": lambda m: m.synonyms.get(),
    "synonyms.set": lambda m: m.synonyms.set(
        [SynonymRule(words=("a", "b")), SynonymRule(words=("a",), also=("c d",))], etag='"1"'
    ),
    "tier_policies.get": lambda m: m.tier_policies.get(),
    "tier_policies.get of a collection": lambda m: m.tier_policies.get(ID),
    "tier_policies.set": lambda m: m.tier_policies.set(after_days=90, min_bytes=1, etag='"1"'),
    "tier_policies.set of a collection": lambda m: m.tier_policies.set(
        ID, after_days=None, etag='"1"'
    ),
    "tier_policies.delete": lambda m: m.tier_policies.delete(),
    "tier_policies.delete of a collection": lambda m: m.tier_policies.delete(ID),
}
"""Each method of the client, called with all that it takes to be told apart."""


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def operations() -> set[tuple[str, str]]:
    """But those of OpenAI's API: the `openai` package is their client."""
    return {
        (method.upper(), path)
        for path, described_there in DESCRIPTION["paths"].items()
        for method in METHODS
        if method in described_there and not is_below_prefix(path)
    }


def ask(api: Described, call: Callable[[Muniment], object]) -> object:
    """What the call returns, of a stream the first; None where the answer is no JSON."""
    transport = httpx.MockTransport(api)
    with Muniment("http://api", "mun_x", retry=ONCE, transport=transport) as muniment:
        try:
            answer = call(muniment)
            return next(answer, None) if isinstance(answer, Iterator) else answer
        except ApiProblem:
            return None


async def ask_and_wait(api: Described, call: Callable[[Muniment], object]) -> object:
    """The same of the asynchronous client, whose methods take the same arguments."""
    transport = httpx.MockTransport(api)
    async with AsyncMuniment("http://api", "mun_x", retry=ONCE, transport=transport) as muniment:
        try:
            answer = call(cast("Muniment", muniment))
            if isinstance(answer, AsyncIterator):
                return await anext(answer, None)
            assert isinstance(answer, Awaitable)
            return await answer
        except ApiProblem:
            return None


def methods() -> set[str]:
    """Of the client, and of its parts by their names."""
    with Muniment("http://api", "mun_x") as muniment:
        parts = {name: part for name, part in vars(muniment).items() if not name.startswith("_")}
        return {
            prefix + name
            for prefix, part in ({"": muniment} | {f"{key}.": parts[key] for key in parts}).items()
            for name in dir(part)
            if not name.startswith("_") and callable(getattr(part, name))
        }


def test_every_operation_has_a_method() -> None:
    api = Described()
    for call in CALLS.values():
        ask(api, call)
    assert operations() - set(api.asked) == WITHOUT_A_METHOD
    take_one = {
        (method.upper(), path)
        for path, described_there in DESCRIPTION["paths"].items()
        for method in METHODS
        for parameter in described_there.get(method, {}).get("parameters", ())
        if parameter["name"] == "If-Match"
    }
    assert take_one <= api.preconditions


def test_every_method_is_tried_here() -> None:
    # A socket asks for nothing until it is asked: tests/api/test_client_sockets.py.
    untried = {"close", "follow", "conversations.socket"}
    assert methods() - {name.split(" ")[0] for name in CALLS} == untried


@pytest.mark.parametrize("name", sorted(CALLS))
def test_both_clients_ask_for_the_same_and_read_it(name: str) -> None:
    blocking, awaiting = Described(), Described()
    read = ask(blocking, CALLS[name])
    assert asyncio.run(ask_and_wait(awaiting, CALLS[name])) == read
    assert awaiting.asked == blocking.asked
    if isinstance(read, Tagged):
        assert read.etag == '"1"'
    if isinstance(read, Record):
        assert dropped(blocking.answered, read) == []


def dropped(answered: object, read: object, place: str = "") -> list[str]:
    """Where the answer says something that was not read."""
    if isinstance(answered, list) and isinstance(read, Sequence):
        return [
            each
            for number, (item, found) in enumerate(zip(answered, read, strict=True))
            for each in dropped(item, found, f"{place}[{number}]")
        ]
    if not isinstance(answered, dict) or not isinstance(read, Record):
        return []
    known = {field.alias or name: name for name, field in type(read).model_fields.items()}
    return [f"{place}.{name}" for name in answered if name not in known] + [
        each
        for name, value in answered.items()
        if name in known
        for each in dropped(value, getattr(read, known[name]), f"{place}.{name}")
    ]


@pytest.mark.parametrize(
    "wrong",
    ["../../v1/groups/x", "x/members/y", "x%2Fmembers%2Fy", "x?permanent=true", "x#y", "..", ""],
)
def test_an_id_is_never_a_path(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done to a file by an id from elsewhere must not be done to a group."""
    for name, call in CALLS.items():
        asked = addresses(call)
        with monkeypatch.context() as changed:
            changed.setattr(sys.modules[__name__], "ID", wrong)
            with suppress(InvalidRequest):
                assert addresses(call) <= asked, name


def addresses(call: Callable[[Muniment], object]) -> set[tuple[str, bytes]]:
    """What is asked for of an API where nothing is; without parameters."""
    asked = set()

    def absent(request: httpx.Request) -> httpx.Response:
        asked.add((request.method, request.url.raw_path.partition(b"?")[0]))
        return httpx.Response(404)

    transport = httpx.MockTransport(absent)
    with Muniment("http://api", "mun_x", retry=ONCE, transport=transport) as muniment:
        try:
            answer = call(muniment)
            if isinstance(answer, Iterator):
                next(answer, None)
        except ApiProblem:
            pass
    return asked
