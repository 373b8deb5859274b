"""Stored histories replay against the present code: running workflows survive a deployment."""

import base64
import json
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError, WorkflowHandle, WorkflowHistory
from temporalio.worker import Replayer

from muniment.contracts.ingest_file import DecisionRequest
from muniment.contracts.members import workflow_id as members_workflow_id
from muniment.contracts.move_tier import Tier
from muniment.payloads import data_converter, load_payload_keys
from muniment.settings import ColdStoreSettings
from muniment.telemetry.request_context import RequestContextInterceptor
from tests.workflows.cold_store import with_cold_store
from tests.workflows.conftest import tenant_in
from tests.workflows.documents import TEXT, page_text, scanned_pdf, text_pdf
from tests.workflows.endpoints import delivered
from tests.workflows.recorded_law import handed_out, swept
from tests.workflows.test_answer_questions import answering
from tests.workflows.test_compare_reading import committed, set_state, started
from tests.workflows.test_erase_file import order_erasure
from tests.workflows.test_evaluate_retrieval import evaluation
from tests.workflows.test_expire_uploads import expired
from tests.workflows.test_gpu_queue import routed
from tests.workflows.test_legal_holds import held_and_released
from tests.workflows.test_members import zipped
from tests.workflows.test_merge_postings import merging
from tests.workflows.test_messages import find_malware
from tests.workflows.test_reindex import reindexed
from tests.workflows.test_rotate_keys import rotating, rotation
from tests.workflows.test_seal_audit import sealing
from tests.workflows.test_tasks import reminding_round
from tests.workflows.test_verify_integrity import verification
from tests.workflows.test_views import ENCRYPTED, PDF, give_password
from tests.workflows.workshop import HISTORIES, TenantIds, Workshop
from worker.queues import WORKFLOW_CLASSES, workflow_runner
from workflows.ingest_file import IngestFile

pytestmark = pytest.mark.asyncio(loop_scope="session")

NAMES = sorted(str(path.relative_to(HISTORIES)) for path in HISTORIES.glob("*/*.json"))
_READABLE = (
    "searchAttributes",
    "workflowTaskCompletedEventAttributes",
    "markerRecordedEventAttributes",
)
RECORDED = frozenset(
    (
        "answered", "cancelled", "compared", "completed", "delivered", "encrypted", "erased", "evaluated",
        "expanded", "expired", "failed",
        "fallen-back-from-gpu", "handed-out", "held", "matter", "members", "merged", "moved",
        "reindexed", "reminded",
        "released", "rotated", "scanned", "sealed", "swept", "verified", "withdrawn",
    )
)  # fmt: skip
"""What `test_record_histories` records."""
RECORD_INTO = "MUNIMENT_RECORD_HISTORIES"


async def test_there_are_histories() -> None:
    assert {Path(name).stem for name in NAMES} >= RECORDED


@pytest.mark.parametrize("name", NAMES)
async def test_a_stored_history_replays(name: str, tmp_path: Path) -> None:
    key = tmp_path / "payload.key"
    key.write_bytes((HISTORIES / "payload.key").read_bytes())
    key.chmod(0o600)
    replayer = Replayer(
        workflows=WORKFLOW_CLASSES,
        data_converter=data_converter(load_payload_keys(key)),
        workflow_runner=workflow_runner(sandboxed=True),
        interceptors=[RequestContextInterceptor()],
    )
    stored = (HISTORIES / name).read_text(encoding="utf-8")
    await replayer.replay_workflow(WorkflowHistory.from_json(name, stored))


@pytest.mark.parametrize("name", NAMES)
async def test_a_stored_history_holds_no_plaintext(name: str) -> None:
    stored = json.loads((HISTORIES / name).read_text(encoding="utf-8"))
    encodings = list(_encodings(stored))
    assert encodings
    assert set(encodings) == {"binary/encrypted"}


def _encodings(node: object) -> Iterator[str]:
    """The encoding of every payload. Search attributes are left out, which hold ids and counts, and
    markers of patches, which hold the patch's name."""
    if isinstance(node, dict):
        metadata = node.get("metadata")
        if isinstance(metadata, dict) and "encoding" in metadata:
            yield base64.b64decode(metadata["encoding"]).decode()
        for key, value in node.items():
            if key not in _READABLE:
                yield from _encodings(value)
    elif isinstance(node, list):
        for value in node:
            yield from _encodings(value)


@pytest.mark.recording
async def test_record_histories(
    workshop: Workshop, owner: TenantIds, tmp_path: Path, postgres_dsn: str
) -> None:
    pages = [page_text(page) for page in range(1, 20)]
    async with workshop.working():
        completed = await workshop.upload(owner, text_pdf(pages), "a.pdf", "application/pdf")
        await _record("completed", await workshop.start(completed))
        await _record_comparisons(workshop, owner)
        await _record("verified", await verification(workshop, owner))
        erasure = await order_erasure(workshop, completed)
        await _record("erased", workshop.client.get_workflow_handle(erasure.workflow_id))
        scan = scanned_pdf([f"Charter {page}" for page in range(1, 6)])
        scanned = await workshop.upload(owner, scan, "b.pdf", "application/pdf")
        await _record("scanned", await workshop.start(scanned))
        expanded = await workshop.upload(owner, zipped({"a.txt": TEXT}), "a.zip")
        await _record("expanded", await workshop.start(expanded))
        assert expanded.version_id is not None
        members_id = members_workflow_id(expanded.version_id, expanded.id)
        await _record("members", workshop.client.get_workflow_handle(members_id))
        encrypted = await workshop.upload(owner, ENCRYPTED.read_bytes(), "g.pdf", PDF)
        await give_password(workshop, encrypted)
        await _record("encrypted", await workshop.start(encrypted))
        failed = await workshop.upload(owner, b"", "c.txt")
        await _record("failed", await workshop.start(failed))
    await _record("delivered", await delivered(workshop, owner))
    await _record_moves(workshop, owner, tmp_path)
    await _record_holds(workshop, owner)
    await _record("handed-out", await handed_out(workshop, owner))
    await _record("swept", await swept(workshop, tenant_in(postgres_dsn)))
    await _record("expired", await expired(workshop, owner))
    async with workshop.working():
        await _record("merged", await merging(workshop, owner))
        await _record("reminded", await reminding_round(workshop, owner))
        await _record("sealed", await sealing(workshop, owner))
        await _record("evaluated", await evaluation(workshop, owner))
        await _record("answered", await answering(workshop, owner))
    await _record("reindexed", await reindexed(workshop, owner))
    async with workshop.working(replacing=rotating(workshop, timedelta(seconds=1))):
        await _record("rotated", await rotation(workshop, owner))
    async with workshop.working(replacing=[routed(workshop, 1.0)]):
        scan = scanned_pdf([f"Charter {page}" for page in range(6, 11)])
        fallen_back = await workshop.upload(owner, scan, "f.pdf", "application/pdf")
        await _record("fallen-back-from-gpu", await workshop.start(fallen_back))
    async with workshop.working(replacing=[find_malware]):
        cancelled = await workshop.upload(owner, TEXT, "d.txt")
        handle = await workshop.start(cancelled)
        await workshop.until(cancelled, "waiting")
        await handle.cancel()
        await _record("cancelled", handle)
        released = await workshop.upload(owner, TEXT, "e.txt")
        handle = await workshop.start(released)
        await workshop.until(released, "waiting")
        decision = DecisionRequest(decision_id=await workshop.decide(owner, released, "release"))
        await handle.execute_update(IngestFile.release, decision)
        await _record("released", handle)


async def _record_comparisons(workshop: Workshop, owner: TenantIds) -> None:
    """One to its end, and one whose file goes into the trash before."""
    scan = scanned_pdf([f"Charter {page}" for page in range(11, 14)])
    job = await workshop.upload(owner, scan, "g.pdf", "application/pdf")
    await (await workshop.start(job)).result()
    await _record("compared", await started(workshop, await committed(workshop, job)))
    withdrawn = await committed(workshop, job)
    await set_state(workshop, job, "trashed")
    await _record("withdrawn", await started(workshop, withdrawn))


async def _record_moves(workshop: Workshop, owner: TenantIds, folder: Path) -> None:
    settings = ColdStoreSettings(backend="filesystem", root=folder)
    place = with_cold_store(workshop, settings, folder)
    job = await workshop.upload(owner, TEXT, "h.txt")
    await place.request(owner, job.file_id, Tier.COLD)
    async with workshop.working(replacing=place.movers()):
        await _record("moved", await place.start(owner))


async def _record_holds(workshop: Workshop, owner: TenantIds) -> None:
    """An erasure that waited for the end of a hold, and the hold."""
    erasing, matter = await held_and_released(workshop, owner)
    await _record("held", erasing)
    await _record("matter", matter)


async def _record(name: str, handle: WorkflowHandle[Any, Any]) -> None:
    assert name in RECORDED
    try:
        await handle.result()
    except WorkflowFailureError:
        assert name in ("failed", "cancelled")
    history = await handle.fetch_history()
    folder = HISTORIES / os.environ[RECORD_INTO]
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(history.to_json() + "\n", encoding="utf-8")
