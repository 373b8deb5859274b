"""From database rows to the File and FileVersion that clients see."""

from uuid import UUID

from api.files.schemas import File, FileVersion, Parent, Retention, Scan
from api.jobs.schemas import Job
from db.models import File as FileRecord
from db.models import FileVersion as VersionRecord
from db.queries.files import FileDetail
from db.queries.scans import reason_and_signature
from muniment.contracts.jobs import FileState
from muniment.contracts.scan import ScanState


def file_view(detail: FileDetail, job: Job | None, holds: list[UUID]) -> File:
    """`job` is the file's newest; `holds` are those that keep it."""
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
        retention=Retention(),
        parent=_parent_view(record),
        holds=holds,
    )


def _parent_view(record: FileRecord) -> Parent | None:
    if record.parent_id is None:
        return None
    return Parent(file_id=record.parent_id, path=record.member_path or "")


def version_view(version: VersionRecord) -> FileVersion:
    return FileVersion(
        file_id=version.file_id,
        version=version.number,
        name=version.name,
        media_type=version.media_type or version.declared_media_type,
        size=version.size,
        sha256=version.sha256.hex(),
        pages=version.page_count,
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
