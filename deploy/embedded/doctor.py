"""`doctor`: what works, what is degraded, and how to mend it."""

import importlib.util
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from deploy.embedded import api_processes, scanner
from deploy.embedded.control import status
from deploy.embedded.home import Home, model_directory
from deploy.embedded.places import Places
from deploy.embedded.postgres import can_connect, installation
from deploy.embedded.records import Endpoints, StackState
from deploy.embedded.stack import WORKER_QUEUES
from deploy.embedded.temporal import TemporalServer, find_temporal
from muniment.contracts import queues
from muniment.errors import DependencyUnavailable
from muniment.opened_content import MEMORY_ROOT, largest_in_memory
from muniment.scanner import remedy, trials
from muniment.settings import Settings, load_settings

_API_LOGS = "log/api*.jsonl"
_CONNECTIONS_A_PROCESS = 8
"""So many new ones find each of several API processes, but for one time in thousands."""
_LOW_DISK_BYTES = 5 * 1024**3
_NO_DISK_BYTES = 512 * 1024**2
_LONGEST_POLL_SECONDS = 75.0  # a long poll lasts a minute; then it is renewed


class Health(StrEnum):
    OK = "ok"
    DEGRADED = "degraded"
    FAILED = "failed"


class Check(BaseModel):
    """One finding; `remedy` says what to do unless all is well."""

    model_config = ConfigDict(frozen=True)

    name: str
    state: Health
    detail: str
    remedy: str | None = None


class Report(BaseModel):
    """All findings; `state` is the worst of them."""

    model_config = ConfigDict(frozen=True)

    home: Path
    state: Health
    checks: tuple[Check, ...]


async def examine(home: Home) -> Report:
    """Looks at everything an embedded stack needs; changes nothing."""
    settings = load_settings()
    checks = [
        _temporal_program(),
        _postgres_program(),
        _embedding_model(settings),
        _ocr_models(),
        await _virus_scanner(settings, os.environ),
        _disk(home),
        _memory_for_content(settings),
        _permissions(home),
        *await _running_stack(home),
    ]
    worst = max((check.state for check in checks), key=list(Health).index)
    return Report(home=home.root, state=worst, checks=tuple(checks))


def render(report: Report) -> str:
    """The report for a person's eyes."""
    marks = {Health.OK: "ok      ", Health.DEGRADED: "DEGRADED", Health.FAILED: "FAILED  "}
    lines = [f"home: {report.home}"]
    for check in report.checks:
        lines.append(f"  {marks[check.state]}  {check.name}: {check.detail}")
        if check.remedy:
            lines.append(f"            → {check.remedy}")
    lines.append(f"altogether: {report.state}")
    return "\n".join(lines)


def _temporal_program() -> Check:
    try:
        return _ok("temporal", f"found at {find_temporal()}")
    except DependencyUnavailable as error:
        return _bad("temporal", Health.FAILED, error.detail, error.remedy)


def _postgres_program() -> Check:
    server = installation() / "bin" / "postgres"
    if os.access(server, os.X_OK):
        return _ok("postgres", "PostgreSQL 18 with pgvector is installed")
    return _bad("postgres", Health.FAILED, f"{server} is missing", "Run `make setup`.")


def _embedding_model(settings: Settings) -> Check:
    folder = settings.embedding.model_directory or model_directory()
    if (folder / "model.onnx").exists():
        return _ok("embedding model", f"prepared in {folder}")
    return _bad(
        "embedding model",
        Health.DEGRADED,
        f"not prepared in {folder}; the first use prepares it",
        "Run `make setup`.",
    )


def _ocr_models() -> Check:
    found = importlib.util.find_spec("rapidocr")
    folder = Path(found.origin).parent / "models" if found and found.origin else None
    models = sorted(folder.glob("*.onnx")) if folder else []
    if models:
        return _ok("OCR models", f"{len(models)} in the rapidocr wheel")
    return _bad(
        "OCR models", Health.FAILED, "the rapidocr wheel carries no models", "Run `make setup`."
    )


async def _virus_scanner(settings: Settings, environment: Mapping[str, str]) -> Check:
    """What a start would choose: an unscanned stack works, and has to be known."""
    configured = environment.get(scanner.SOCKET_VARIABLE)
    for address in (configured, *map(str, scanner.SYSTEM_SOCKETS)):
        if not address or not await scanner.answers_ping(address, settings.scan):
            continue
        if await scanner.says_what_it_left_out(address, settings.scan):
            return _ok("virus scanner", f"clamd answers at {address}")
        if address == configured:
            detail = f"clamd at {address} calls clean what it does not look into"
            settings_needed = " and ".join(trials())
            return _bad("virus scanner", Health.DEGRADED, detail, remedy(settings_needed))
    if scanner.clamd_program() and scanner.signature_folder():
        return _ok("virus scanner", "clamd is installed; the stack runs its own")
    detail = scanner.NO_SCANNER
    if settings.scan.required:
        detail = "no virus scanner is running and one is required: files wait in quarantine"
    elif scanner.clamd_program():
        detail += " (clamd is installed, its signatures are missing)"
    return _bad("virus scanner", Health.DEGRADED, detail, scanner.REMEDY)


def _disk(home: Home) -> Check:
    place = next(folder for folder in (home.root, *home.root.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    detail = f"{free / 1024**3:.1f} GiB free at {place}"
    if free >= _LOW_DISK_BYTES:
        return _ok("disk", detail)
    state = Health.FAILED if free < _NO_DISK_BYTES else Health.DEGRADED
    return _bad("disk", state, detail, "Free some space or choose another --home.")


def _memory_for_content(settings: Settings) -> Check:
    """How large a file may be that the workers open."""
    name, worker = "opened content", settings.worker
    if worker.scratch is not None or worker.scratch_overflow is not None:
        return _ok(name, f"may lie in {worker.scratch or worker.scratch_overflow}")
    if not os.access(MEMORY_ROOT, os.W_OK):
        advice = "Name a folder on an encrypted disk in MUNIMENT_WORKER__SCRATCH."
        return _bad(name, Health.FAILED, f"{MEMORY_ROOT} cannot be written", advice)
    largest = largest_in_memory()
    detail = f"{MEMORY_ROOT} holds files of up to {largest / 1024**3:.1f} GiB"
    if largest >= settings.api.max_upload_bytes:
        return _ok(name, detail)
    return _bad(
        name,
        Health.DEGRADED,
        f"{detail}; uploads may be of {settings.api.max_upload_bytes / 1024**3:.1f}",
        f"Enlarge {MEMORY_ROOT}, lower MUNIMENT_API__MAX_UPLOAD_BYTES, or name a folder on an encrypted"
        " disk in MUNIMENT_WORKER__SCRATCH_OVERFLOW.",
    )


def _permissions(home: Home) -> Check:
    if not home.root.exists():
        return _ok("home", "not made yet; `muniment up` makes it")
    found = home.root.stat()
    if found.st_uid != os.geteuid():
        return _bad(
            "home", Health.FAILED, "belongs to another user", "Run as its owner, or change --home."
        )
    if found.st_mode & 0o077:
        return _bad("home", Health.DEGRADED, "others can enter it", f"Run `chmod 700 {home.root}`.")
    if not os.access(home.root, os.W_OK):
        return _bad("home", Health.FAILED, "cannot be written", "Make it writable.")
    return _ok("home", "closed to others, writable")


async def _running_stack(home: Home) -> list[Check]:
    found = status(home)
    if found.state is not StackState.RUNNING or found.endpoints is None:
        state = Health.FAILED if found.state is StackState.CRASHED else Health.DEGRADED
        return [_bad("stack", state, f"it is {found.state}", "Run `muniment up`.")]
    restarting = [each.name for each in found.processes if each.pid is None]
    checks = [
        _bad("stack", Health.DEGRADED, f"restarting: {', '.join(restarting)}", f"Read {home.log}.")
        if restarting
        else _ok("stack", f"{len(found.processes)} processes run")
    ]
    return [
        *checks,
        await _database(found.endpoints),
        await _api(found.endpoints, [each.name for each in found.processes]),
        *await _stored_content(home, found.endpoints),
        *await _pollers(home),
    ]


async def _database(endpoints: Endpoints) -> Check:
    if await can_connect(endpoints.database):
        return _ok("database", "PostgreSQL answers")
    return _bad("database", Health.FAILED, "PostgreSQL does not answer", "Read log/postgres.jsonl.")


class _Dependency(BaseModel):
    name: str
    state: str
    reason: str | None
    remedy: str | None


class _Readiness(BaseModel):
    """What `/readyz` says."""

    dependencies: list[_Dependency]


async def _api(endpoints: Endpoints, processes: Sequence[str]) -> Check:
    """Whether each API process answers, and what they depend on. On a port that several share, one that
    hangs keeps its part of the connections waiting."""
    count = sum(name.partition("-")[0] == api_processes.FIRST for name in processes)
    if count > 1:
        asked = count * _CONNECTIONS_A_PROCESS
        answered = await api_processes.answered(endpoints.api, asked)
        if 0 < answered < asked:
            detail = f"{asked - answered} of {asked} connections were not answered"
            remedy = (
                f"Read {_API_LOGS}. What hangs for MUNIMENT_EMBEDDED__HUNG_SECONDS is started anew,"
                " unless that is 0: then end the process that hangs."
            )
            return _bad("API", Health.DEGRADED, detail, remedy)
    return await _ready(endpoints)


async def _ready(endpoints: Endpoints) -> Check:
    """The API's own view of what it depends on."""
    try:
        async with httpx.AsyncClient(timeout=10.0, trust_env=False) as client:
            answer = await client.get(f"{endpoints.api}/readyz")
    except httpx.HTTPError as error:
        detail = f"{endpoints.api} does not answer ({type(error).__name__})"
        return _bad("API", Health.FAILED, detail, f"Read {_API_LOGS}.")
    try:
        report = _Readiness.model_validate_json(answer.content)
    except ValidationError:
        detail = f"{endpoints.api}/readyz answers {answer.status_code}, and no report"
        return _bad("API", Health.FAILED, detail, f"Read {_API_LOGS}.")
    troubled = [each for each in report.dependencies if each.state != "ok"]
    told = "; ".join(f"{each.name} is {each.state}: {each.reason}" for each in troubled)
    remedies = " ".join(each.remedy for each in troubled if each.remedy)
    if not answer.is_success:
        return _bad("API", Health.FAILED, f"not ready: {told}", remedies or f"Read {_API_LOGS}.")
    if troubled:
        return _bad("API", Health.DEGRADED, f"serves, but {told}", remedies)
    return _ok("API", f"serves, with all of {len(report.dependencies)} dependencies")


class _VerificationRun(BaseModel):
    is_store_away: bool


class _Integrity(BaseModel):
    """What `/v1/integrity` says; the newest run comes first."""

    open_faults: int
    data: list[_VerificationRun]


async def _stored_content(home: Home, endpoints: Endpoints) -> list[Check]:
    """What verification found wrong and has not seen mended; nothing where the API does not say."""
    try:
        headers = {"Authorization": f"Bearer {home.admin_key.read_text(encoding='utf-8').strip()}"}
        async with httpx.AsyncClient(timeout=10.0, trust_env=False, headers=headers) as client:
            answer = await client.get(f"{endpoints.api}/v1/integrity?limit=1")
        report = _Integrity.model_validate_json(answer.raise_for_status().content)
    except (OSError, httpx.HTTPError, ValidationError):
        return []
    if any(run.is_store_away for run in report.data[:1]):
        remedy = (
            "Look whether the folder is mounted, and verify again: `POST /v1/integrity/verify`."
        )
        detail = "nothing of what was verified last was in the object store"
        return [_bad("stored content", Health.FAILED, detail, remedy)]
    count = report.open_faults
    if not count:
        return [_ok("stored content", "no fault is known")]
    remedy = "`GET /v1/integrity` names them; docs/operations.md says how to bring them back."
    detail = f"{count} objects are damaged or missing"
    return [_bad("stored content", Health.DEGRADED, detail, remedy)]


async def _pollers(home: Home) -> list[Check]:
    try:
        places = Places.model_validate_json(home.places.read_bytes())
    except (OSError, ValidationError):
        return []
    temporal = TemporalServer(home, places)
    checks = []
    for worker, polled in WORKER_QUEUES.items():
        silent = await temporal.unpolled(polled, since=time.time() - _LONGEST_POLL_SECONDS)
        checks.append(
            _bad(
                worker,
                Health.FAILED,
                f"nobody polls {', '.join(silent)}",
                f"Read log/{worker}.jsonl.",
            )
            if silent
            else _ok(worker, f"polls {', '.join(polled)}")
        )
    return [*checks, await _gpu_queue(temporal)]


async def _gpu_queue(temporal: TemporalServer) -> Check:
    """A worker of the GPU queue is welcome and not needed."""
    since = time.time() - _LONGEST_POLL_SECONDS
    if await temporal.unpolled([queues.OCR_GPU], since=since):
        return _ok("GPU queue", "nobody polls it: the CPU queue recognises all pages")
    return _ok("GPU queue", f"a worker polls {queues.OCR_GPU}")


def _ok(name: str, detail: str) -> Check:
    return Check(name=name, state=Health.OK, detail=detail)


def _bad(name: str, state: Health, detail: str, remedy: str) -> Check:
    return Check(name=name, state=state, detail=detail, remedy=remedy)
