"""The copy of what there is of a person: a ZIP archive of originals and JSON lines, written while it is
stored.

    manifest.json        whose request, when, how many files
    files.jsonl          what is known of each file and its versions
    originals/…          each version as it came in, by the file's id and the version's number
    chunks.jsonl         what is searched of each file: its passages
    access-log.jsonl     the events of the audit trail about the files
"""

import json
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import PurePath
from uuid import UUID
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from pydantic import JsonValue

from activities.subjects.finding import opened_passages
from db.models import AuditEvent, File, FileVersion, SubjectRequest, now
from db.queries import subject_exports, subject_search
from db.session import Access, Database
from muniment.contracts.jobs import FileState
from muniment.contracts.scan import ScanState
from muniment.objects import BlobStore, SealedTexts
from muniment.zip_pieces import Gathered, write_piece

PIECE_BYTES = 64 * 1024
FILES_AT_ONCE = 50
LINES_AT_ONCE = 500
_LEVEL = 3
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,10}")
_HANDED_OUT = (ScanState.CLEAN, ScanState.UNSCANNED)
_WITHHELD = (FileState.QUARANTINED, FileState.REJECTED)


@dataclass
class SubjectArchive:
    """Of what was confirmed for a request. `file_ids` are those that it came to have."""

    database: Database
    blobs: BlobStore
    texts: SealedTexts
    request: SubjectRequest
    file_ids: list[UUID] = field(default_factory=list)

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Its bytes; memory does not grow with the files. Raises what reading the store raises."""
        gathered = Gathered()
        with ZipFile(gathered, "w") as archive:
            for part in (self._originals, self._files, self._chunks, self._events, self._manifest):
                async with aclosing(part(archive)) as written:
                    async for _ in written:
                        if gathered.size >= PIECE_BYTES:
                            yield gathered.take()
        yield gathered.take()

    async def _originals(self, archive: ZipFile) -> AsyncGenerator[None, None]:
        after: UUID | None = None
        while files := await self._confirmed(after):
            self.file_ids += [file.id for file in files]
            versions = await self._versions([file.id for file in files])
            for file in files:
                for version in versions[file.id]:
                    if not _is_handed_out(file, version):
                        continue
                    async with aclosing(self._original(archive, version)) as written:
                        async for _ in written:
                            yield
            after = files[-1].id

    async def _original(self, archive: ZipFile, version: FileVersion) -> AsyncGenerator[None, None]:
        described = _member(_place(version))
        described.file_size = version.size
        content = self.blobs.read(version.tenant_id, version.blob_id, version.size)
        with archive.open(described, "w") as member:
            async with aclosing(content):
                async for piece in content:
                    await write_piece(member, piece)
                    yield

    async def _files(self, archive: ZipFile) -> AsyncGenerator[None, None]:
        with archive.open(_member("files.jsonl"), "w", force_zip64=True) as member:
            for page in _paged(self.file_ids):
                versions = await self._versions(page)
                async with self.database.transaction(self._access) as session:
                    rows = await subject_exports.files_named(session, page)
                lines = [_file_line(row, versions[row.id]) for row in rows]
                await write_piece(member, _lines(lines))
                yield

    async def _chunks(self, archive: ZipFile) -> AsyncGenerator[None, None]:
        with archive.open(_member("chunks.jsonl"), "w", force_zip64=True) as member:
            for page in _paged(self.file_ids):
                versions = await self._versions(page)
                of_file = {each.id: each for some in versions.values() for each in some}
                after: tuple[UUID, int] | None = None
                while passages := await self._passages([*of_file], after):
                    texts = await opened_passages(self.texts, self.request.tenant_id, passages)
                    lines: list[JsonValue] = [
                        {
                            "file_id": str(of_file[each.version_id].file_id),
                            "version": of_file[each.version_id].number,
                            "ordinal": each.ordinal,
                            "headings": [*headings],
                            "text": words,
                        }
                        for each, (words, headings) in zip(passages, texts, strict=True)
                    ]
                    await write_piece(member, _lines(lines))
                    yield
                    after = passages[-1].version_id, passages[-1].ordinal

    async def _events(self, archive: ZipFile) -> AsyncGenerator[None, None]:
        with archive.open(_member("access-log.jsonl"), "w", force_zip64=True) as member:
            for page in _paged(self.file_ids):
                after: tuple[UUID, UUID] | None = None
                while events := await self._about(page, after):
                    await write_piece(member, _lines([_event_line(each) for each in events]))
                    yield
                    last = events[-1]
                    after = (last.object_id or last.id), last.id

    async def _manifest(self, archive: ZipFile) -> AsyncGenerator[None, None]:
        told = {
            "subject_request": str(self.request.id),
            "made_at": now().isoformat(),
            "files": len(self.file_ids),
        }
        with archive.open(_member("manifest.json"), "w") as member:
            await write_piece(member, json.dumps(told, indent=2).encode())
            yield

    @property
    def _access(self) -> Access:
        return Access(self.request.tenant_id)

    async def _confirmed(self, after: UUID | None) -> Sequence[File]:
        async with self.database.transaction(self._access) as session:
            return await subject_exports.confirmed_files(
                session, self.request.id, after, FILES_AT_ONCE
            )

    async def _versions(self, file_ids: Sequence[UUID]) -> Mapping[UUID, Sequence[FileVersion]]:
        async with self.database.transaction(self._access) as session:
            return await subject_exports.versions_of(session, file_ids)

    async def _passages(
        self, version_ids: Sequence[UUID], after: tuple[UUID, int] | None
    ) -> list[subject_search.SearchedPassage]:
        async with self.database.transaction(self._access) as session:
            return await subject_search.next_passages(session, version_ids, after, LINES_AT_ONCE)

    async def _about(
        self, file_ids: Sequence[UUID], after: tuple[UUID, UUID] | None
    ) -> Sequence[AuditEvent]:
        async with self.database.transaction(self._access) as session:
            return await subject_exports.events_about(session, file_ids, after, LINES_AT_ONCE)


def _is_handed_out(file: File, version: FileVersion) -> bool:
    """What a scan found harmful, or none has seen yet, is not carried out of here."""
    return file.state not in _WITHHELD and version.scan_state in _HANDED_OUT


def _place(version: FileVersion) -> str:
    """Without the name that somebody gave it, which `files.jsonl` tells: no path leads out of the folder."""
    suffix = PurePath(version.name).suffix
    ending = suffix if _SUFFIX.fullmatch(suffix) else ""
    return f"originals/{version.file_id}/{version.number}{ending}"


def _member(name: str) -> ZipInfo:
    described = ZipInfo(name, now().timetuple()[:6])
    described.compress_type = ZIP_DEFLATED
    # The only way to give one member a level before Python 3.13; later versions take it as well.
    described._compresslevel = _LEVEL  # type: ignore[attr-defined]
    described.external_attr = 0o100644 << 16
    return described


def _file_line(file: File, versions: Sequence[FileVersion]) -> JsonValue:
    return {
        "id": str(file.id),
        "name": file.name,
        "media_type": file.media_type,
        "labels": [*file.labels],
        "metadata": file.attributes,
        "extracted": file.extracted,
        "created_at": file.created_at.isoformat(),
        "versions": [
            {
                "number": version.number,
                "name": version.name,
                "size": version.size,
                "sha256": version.sha256.hex(),
                "created_at": version.created_at.isoformat(),
                "original": _place(version) if _is_handed_out(file, version) else None,
            }
            for version in versions
        ],
    }


def _event_line(event: AuditEvent) -> JsonValue:
    """As a court's export has it, without the address that it came from, which is somebody else's."""
    return {
        "id": str(event.id),
        "at": event.at.isoformat(),
        "actor_id": None if event.actor_id is None else str(event.actor_id),
        "actor_kind": event.actor_kind,
        "action": event.action,
        "file_id": str(event.object_id),
        "payload": event.payload,
    }


def _lines(values: Sequence[JsonValue]) -> bytes:
    return b"".join(json.dumps(each, ensure_ascii=False).encode() + b"\n" for each in values)


def _paged(file_ids: Sequence[UUID]) -> list[Sequence[UUID]]:
    starts = range(0, len(file_ids), FILES_AT_ONCE)
    return [file_ids[start : start + FILES_AT_ONCE] for start in starts]
