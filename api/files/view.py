"""From database rows to the File and FileVersion that clients see."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from api.files.schemas import File, FileVersion, Parent, Retention, Scan
from api.jobs.schemas import Job
from db.models import File as FileRecord
from db.models import FileVersion as VersionRecord
from db.queries.files import TO_BE_ERASED, FileDetail
from db.queries.preservation import Keeping
from db.queries.preservation_kinds import PreservationKind
from db.queries.retention import Judgement
from db.queries.scans import reason_and_signature
from muniment.contracts.jobs import FileState
from muniment.contracts.retention import LockMode
from muniment.contracts.scan import ScanState

_LOCK_MODES: Mapping[PreservationKind, LockMode] = MappingProxyType(
    {
        PreservationKind.COMPLIANCE_LOCK: LockMode.COMPLIANCE,
        PreservationKind.GOVERNANCE_LOCK: LockMode.GOVERNANCE,
    }
)

_BLANK: Mapping[str, object] = MappingProxyType(
    {
        "name": "",
        "sha256": "",
        "metadata": {},
        "extracted": {},
        "labels": [],
        "pages": None,
        "parent": None,
    }
)
"""As the erased file will have it (`db.queries.erasure.blank_file`)."""


def file_view(
    detail: FileDetail, job: Job | None, kept: Keeping, as_of: datetime, *, names_holds: bool
) -> File:
    """`job` is the file's newest; `kept` is what keeps it at that time, and `names_holds` whether its holds
    may be named."""
    shown = _view(detail, job, kept, as_of, names_holds=names_holds)
    if detail.file.state in TO_BE_ERASED:
        unnamed = shown.scan.model_copy(update={"signature": None})
        return shown.model_copy(update={**_BLANK, "scan": unnamed})
    return shown


def _view(
    detail: FileDetail, job: Job | None, kept: Keeping, as_of: datetime, *, names_holds: bool
) -> File:
    record, version = detail.file, detail.version
    return File(
        id=record.id,
        name=record.name,
        media_type=record.media_type,
        size=version.size if version else 0,
        sha256=version.sha256.hex() if version else "",
        version=record.current_version,
        state=FileState(record.state),
        collection=detail.collection_name,
        collection_id=record.collection_id,
        metadata=record.attributes,
        extracted=record.extracted,
        labels=record.labels,
        pages=record.page_count,
        scan=scan_view(version),
        tier=detail.tier,
        degraded=record.degraded,
        created_at=record.created_at,
        updated_at=record.updated_at,
        job=job,
        retention=_retention_view(kept.judgement, as_of),
        parent=_parent_view(record),
        held=bool(kept.holds),
        holds=[each.reference for each in kept.holds] if names_holds else [],
    )


def _retention_view(judged: Judgement, as_of: datetime) -> Retention:
    """Until when policies and locks keep the file; `lock` is the strongest that stands at that time."""
    standing = {each.kind for each in judged.standing(as_of)}
    return Retention(
        retain_until=judged.retain_until,
        indefinite=judged.is_indefinite,
        delete_at=judged.delete_at,
        lock=next((mode for kind, mode in _LOCK_MODES.items() if kind in standing), None),
    )


def _parent_view(record: FileRecord) -> Parent | None:
    if record.parent_id is None:
        return None
    return Parent(file_id=record.parent_id, path=record.member_path or "")


def version_view(detail: FileDetail, version: VersionRecord) -> FileVersion:
    """Of the file."""
    is_told = detail.file.state not in TO_BE_ERASED
    return FileVersion(
        file_id=version.file_id,
        version=version.number,
        name=version.name if is_told else "",
        media_type=version.media_type or version.declared_media_type,
        size=version.size,
        sha256=version.sha256.hex() if is_told else "",
        pages=version.page_count if is_told else None,
        scan=scan_view(version),
        published_at=version.published_at,
        created_at=version.created_at,
    )


def scan_view(version: VersionRecord | None) -> Scan:
    if version is None or version.scan_state is None:
        return Scan(state=ScanState.UNSCANNED)
    state = ScanState(version.scan_state)
    reason, signature = reason_and_signature(state, version.scan_signature)
    return Scan(
        state=state,
        engine=version.scan_engine,
        database=version.scan_database,
        signature=signature,
        reason=reason,
        at=version.scanned_at,
    )


def entity_tag(record: FileRecord) -> str:
    """The strong ETag of a file's representation as a resource: its revision."""
    return f'"{record.revision}"'
