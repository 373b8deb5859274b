"""A collection with `encrypted_text`: its documents' words lie nowhere on the database's disk, search by
meaning finds them and shows them, and they die with their keys."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import select
from sqlmodel import col

from api.annotations import service as annotating
from api.annotations.schemas import Annotation, NewAnnotation, NewQuote, NewTarget
from api.annotations.view import annotation_view
from api.annotations.words import opened
from api.authentication import Caller
from api.files.scan_policy import ScanPolicy
from api.pages import service as reading
from api.services import Services
from db.models import Annotation as AnnotationRecord
from db.models import AnnotationAnchor, ChunkRow, Collection, FileVersion, Job, new_id
from db.queries.annotations import AnnotationFilter
from db.session import Access
from muniment.contracts.jobs import JobState
from muniment.errors import KeyDestroyed, ObjectStoreUnavailable
from muniment.objects import BlobStore, FilesystemObjectStore, SealedTexts
from retrieval.answer import Answerer
from retrieval.answer_extractive import NOTHING_FOUND
from retrieval.passage_texts import TEXT_OUT_OF_REACH
from retrieval.request import ContextRequest, QuestionRequest, SearchMode, SearchRequest
from retrieval.response import SearchResponse
from retrieval.search import SEALED_LEFT_OUT, Searcher
from tests.workflows.test_erase_file import _erase
from tests.workflows.workshop import TenantIds, Workshop
from worker.sweep import Sweep

pytestmark = pytest.mark.asyncio(loop_scope="session")

SCOPES = frozenset({"files:read", "annotations:write"})


@dataclass(frozen=True)
class Canaries:
    """Words that stand nowhere but in one document: in its text, a heading, its title, and the tag of
    its language."""

    text: str
    heading: str
    title: str
    language: str

    def all(self) -> tuple[str, ...]:
        return (self.text, self.heading, self.title, self.language)

    def document(self, *, ending: str = "") -> bytes:
        """HTML, since it has a title of its own."""
        return (
            f'<html lang="en-{self.language}">'
            f"<head><title>Charter {self.title}</title></head><body>"
            f"<h1>The chest {self.heading}</h1>"
            f"<p>The widow {self.text} paid for the two harbour cranes in the spring of 1854.</p>"
            f"<p>Sheep were counted each year in the meadow behind the abbey.{ending}</p>"
            "</body></html>"
        ).encode()


def new_canaries() -> Canaries:
    """Letters alone, so that every tokenizer takes each for a word, lower and upper case alike."""
    words = ["q" + secrets.token_bytes(10).hex().translate(_LETTERS) for _ in range(4)]
    return Canaries(*words[:3], language=words[3][:LONGEST_SUBTAG])


LONGEST_SUBTAG = 8
_LETTERS = str.maketrans("0123456789", "ghijklmnop")


@pytest.fixture
async def sealed_owner(workshop: Workshop, owner: TenantIds) -> TenantIds:
    """The tenant's collection with `encrypted_text`."""
    made = Collection(tenant_id=owner.tenant_id, name="sealed", text_mode="encrypted_text")
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        session.add(made)
    return replace(owner, collection_id=made.id)


@pytest.fixture
def texts(workshop: Workshop) -> SealedTexts:
    return SealedTexts(workshop.stores.blobs)


def on_disk(postgres_server: str, words: Iterable[str]) -> set[str]:
    """Those of the words that stand in a file of PostgreSQL's, its log of changes included."""
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
        row = connection.execute("SHOW data_directory").fetchone()
    assert row
    return words_below(Path(row[0]), words)


def in_rows(postgres_dsn: str, words: Iterable[str]) -> set[str]:
    """Those of the words that a row says: what PostgreSQL compressed does not lie there as it is."""
    found: set[str] = set()
    with psycopg.connect(postgres_dsn) as connection:
        tables = connection.execute(
            "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'"
        ).fetchall()
        for (table,) in tables:
            said = connection.execute(
                f"SELECT DISTINCT word FROM {table} AS each_row, unnest(%s::text[]) AS word"  # noqa: S608 - quoted
                " WHERE strpos(lower(each_row::text), word) > 0",
                ([*words],),
            )
            found |= {word for (word,) in said}
    return found


def words_below(folder: Path, words: Iterable[str]) -> set[str]:
    """Those of the words that stand in a file of the folder."""
    wanted = {word: word.encode() for word in words}
    found: set[str] = set()
    for path in folder.rglob("*"):
        if not path.is_file():
            continue
        try:
            content = path.read_bytes().lower()
        except FileNotFoundError:  # PostgreSQL removes some while it works
            continue
        found |= {word for word, encoded in wanted.items() if encoded in content}
    return found


async def ingest(workshop: Workshop, owner: TenantIds, canaries: Canaries) -> Job:
    job = await workshop.upload(owner, canaries.document(), "charter.html", "text/html")
    async with workshop.working():
        result = await (await workshop.start(job)).result()
    assert result.state is JobState.COMPLETED
    return job


def access_of(owner: TenantIds) -> Access:
    return Access(owner.tenant_id, owner.principal_id)


def caller_of(owner: TenantIds) -> Caller:
    return Caller(owner.tenant_id, owner.principal_id, new_id(), SCOPES, is_admin=True)


def services_of(workshop: Workshop, texts: SealedTexts) -> Services:
    """As much of the API's as reading and annotating take."""
    parts = SimpleNamespace(
        database=workshop.database,
        blobs=workshop.stores.blobs,
        texts=texts,
        scans=ScanPolicy(),
    )
    return cast(Services, parts)


async def search(
    workshop: Workshop, owner: TenantIds, texts: SealedTexts, query: str, mode: SearchMode
) -> SearchResponse:
    searcher = Searcher(workshop.database, workshop.parts.embedder, texts)
    request = SearchRequest(query=query, mode=mode, context=ContextRequest(section=True))
    return await searcher.search(access_of(owner), request)


async def key_of(workshop: Workshop, job: Job) -> UUID:
    """The blob of the key that seals the version's chunks, all of them."""
    async with workshop.database.transaction(Access(job.tenant_id)) as session:
        version = await session.get_one(FileVersion, job.version_id)
        of_chunks = await session.scalars(
            select(col(ChunkRow.text_key_id)).where(col(ChunkRow.version_id) == version.id)
        )
        assert version.text_key_id is not None
        assert set(of_chunks) == {version.text_key_id}
    return version.text_key_id


async def annotate(
    workshop: Workshop, owner: TenantIds, texts: SealedTexts, job: Job, exact: str
) -> Annotation:
    body = NewAnnotation(
        file_id=job.file_id, target=NewTarget(page=1, quote=NewQuote(exact=exact)), body="why?"
    )
    caller = caller_of(owner)
    wanted = await annotating.proven(services_of(workshop, texts), caller, body)
    async with workshop.database.transaction(caller.access) as session:
        made = await annotating.create(session, caller, body, wanted)
    return annotation_view(made)


async def listed(
    workshop: Workshop, owner: TenantIds, texts: SealedTexts, job: Job
) -> list[Annotation]:
    caller = caller_of(owner)
    async with workshop.database.transaction(caller.access) as session:
        rows = await annotating.list_annotations(
            session, caller, AnnotationFilter(job.file_id), limit=100
        )
    return [annotation_view(each) for each in await opened(texts, rows)]


async def test_words_are_nowhere_on_the_databases_disk_and_are_found_by_meaning(
    workshop: Workshop,
    owner: TenantIds,
    sealed_owner: TenantIds,
    texts: SealedTexts,
    postgres_server: str,
    postgres_dsn: str,
) -> None:
    sealed, plain = new_canaries(), new_canaries()
    job = await ingest(workshop, sealed_owner, sealed)
    await ingest(workshop, owner, plain)
    found = await search(
        workshop, owner, texts, "Who paid for the harbour cranes?", SearchMode.VECTOR
    )
    hit = next(each for each in found.data if each.file_id == job.file_id)
    assert sealed.text in hit.text
    assert any(sealed.heading in heading for heading in hit.headings)
    assert (hit.sealed, hit.text_missing, hit.highlights) == (True, False, ())
    assert hit.context is not None
    assert hit.context.section is not None
    assert hit.text in hit.context.section.text
    answerer = Answerer(
        workshop.database, Searcher(workshop.database, workshop.parts.embedder, texts)
    )
    question = QuestionRequest(
        query="Who paid for the two harbour cranes?", collection=str(sealed_owner.collection_id)
    )
    answer = await answerer.answer(access_of(owner), question)
    assert answer.answer != NOTHING_FOUND
    assert sealed.text in answer.citations[0].quote
    words = (*sealed.all(), *plain.all())
    present = on_disk(postgres_server, words)
    assert present == set(plain.all()), "the other one is what shows that words are found so"
    assert in_rows(postgres_dsn, words) == set(plain.all())
    home = workshop.settings.objects.root
    assert home is not None
    assert words_below(home.parent, words) == set(), "stores and keys"


async def test_words_are_not_searched_and_count_in_no_statistics(
    workshop: Workshop, owner: TenantIds, sealed_owner: TenantIds, texts: SealedTexts
) -> None:
    plain = new_canaries()
    await ingest(workshop, owner, plain)
    before = await search(workshop, owner, texts, plain.text, SearchMode.LEXICAL)
    sealed = new_canaries()
    await ingest(workshop, sealed_owner, sealed)
    nothing = await search(workshop, owner, texts, sealed.text, SearchMode.LEXICAL)
    assert nothing.data == ()
    assert nothing.reasons == (SEALED_LEFT_OUT,)
    elsewhere = SearchRequest(
        query=sealed.text, mode=SearchMode.LEXICAL, collection=str(owner.collection_id)
    )
    searcher = Searcher(workshop.database, None, texts)
    assert not (await searcher.search(access_of(owner), elsewhere)).reasons
    after = await search(workshop, owner, texts, plain.text, SearchMode.LEXICAL)
    assert [hit.score for hit in after.data] == [hit.score for hit in before.data]
    both = await search(workshop, owner, texts, "the harbour cranes", SearchMode.HYBRID)
    assert {hit.sealed for hit in both.data} == {True, False}
    without = await search(
        workshop, owner, texts, f"the harbour cranes -{sealed.text}", SearchMode.HYBRID
    )
    assert {hit.chunk_id for hit in without.data} == {
        hit.chunk_id for hit in both.data if sealed.text not in hit.text
    }
    phrase = await search(
        workshop, owner, texts, f'"{sealed.text}" the harbour cranes', SearchMode.VECTOR
    )
    assert {hit.sealed for hit in phrase.data} == {True}
    assert all(sealed.text in hit.text for hit in phrase.data)


async def test_chunks_are_listed_with_their_text_and_files_without_titles(
    workshop: Workshop, sealed_owner: TenantIds, texts: SealedTexts
) -> None:
    canaries = new_canaries()
    job = await ingest(workshop, sealed_owner, canaries)
    page = await reading.list_chunks(
        services_of(workshop, texts), caller_of(sealed_owner), job.file_id, None, 50, None
    )
    assert canaries.text in " ".join(chunk.text for chunk in page.data)
    assert canaries.heading in " ".join(each for chunk in page.data for each in chunk.headings)
    file = await workshop.file(job)
    assert file.extracted["words"]
    assert file.extracted["language"] == "en"
    assert "title" not in file.extracted


async def test_a_new_reading_has_a_new_key_and_the_former_goes_on_opening_what_was_annotated(
    workshop: Workshop, sealed_owner: TenantIds, texts: SealedTexts, postgres_server: str
) -> None:
    canaries = new_canaries()
    job = await ingest(workshop, sealed_owner, canaries)
    made = await annotate(workshop, sealed_owner, texts, job, f"The widow {canaries.text} paid")
    assert made.target is not None
    assert made.target.quote is not None
    first_key = await key_of(workshop, job)
    again = await workshop.retry(job)
    following = await workshop.new_version(sealed_owner, job, canaries.document(ending=" Twice."))
    async with workshop.working():
        await (await workshop.start(again)).result()
        assert await key_of(workshop, job) != first_key
        await (await workshop.start(following)).result()
    (shown,) = await listed(workshop, sealed_owner, texts, job)
    assert shown.target == made.target
    assert shown.anchor.version == 2
    assert shown.anchor.quote is not None
    assert canaries.text in shown.anchor.quote.exact
    async with workshop.database.transaction(Access(job.tenant_id)) as session:
        record = (await session.scalars(select(AnnotationRecord))).one()
        anchors = (await session.scalars(select(AnnotationAnchor))).all()
    assert (record.quote, record.prefix, record.suffix) == ("", "", "")
    assert record.text_key_id == first_key
    assert [anchor.quote for anchor in anchors] == [""]
    assert not on_disk(postgres_server, canaries.all())


async def test_a_quote_that_never_opens_again_keeps_none_of_the_others_from_being_found(
    workshop: Workshop, sealed_owner: TenantIds, texts: SealedTexts
) -> None:
    canaries = new_canaries()
    job = await ingest(workshop, sealed_owner, canaries)
    broken = await annotate(workshop, sealed_owner, texts, job, "the two harbour cranes")
    await annotate(workshop, sealed_owner, texts, job, f"The widow {canaries.text} paid")
    async with workshop.database.transaction(Access(job.tenant_id)) as session:
        record = await session.get_one(AnnotationRecord, broken.id)
        record.sealed_words = bytes(100)
    following = await workshop.new_version(sealed_owner, job, canaries.document(ending=" Twice."))
    async with workshop.working():
        await (await workshop.start(following)).result()
    found, lost = await listed(workshop, sealed_owner, texts, job)
    assert found.anchor.quote is not None
    assert canaries.text in found.anchor.quote.exact
    assert (lost.id, lost.text_missing, lost.anchor.state) == (broken.id, True, "pending")
    assert lost.target is not None
    assert lost.target.quote is None


async def test_an_erasure_leaves_the_text_dead(
    workshop: Workshop, sealed_owner: TenantIds, texts: SealedTexts
) -> None:
    job = await ingest(workshop, sealed_owner, new_canaries())
    await annotate(workshop, sealed_owner, texts, job, "paid for the two harbour cranes")
    key_id = await key_of(workshop, job)
    async with workshop.working():
        await _erase(workshop, job)
    with pytest.raises(KeyDestroyed):
        await SealedTexts(workshop.stores.blobs).key(job.tenant_id, key_id)
    found = await search(workshop, sealed_owner, texts, "harbour cranes", SearchMode.VECTOR)
    assert found.data == ()


async def test_a_key_of_a_worker_that_was_killed_is_swept_and_those_in_use_are_not(
    workshop: Workshop, sealed_owner: TenantIds, texts: SealedTexts
) -> None:
    job = await ingest(workshop, sealed_owner, new_canaries())
    abandoned = await texts.make_key(job.tenant_id)
    blobs = workshop.stores.blobs
    await Sweep(workshop.database, blobs, timedelta(0), timedelta(0)).round()
    with pytest.raises(KeyDestroyed):
        await SealedTexts(blobs).key(job.tenant_id, abandoned.blob.blob_id)
    await SealedTexts(blobs).key(job.tenant_id, await key_of(workshop, job))


async def test_a_passage_whose_key_was_just_destroyed_has_no_text(
    workshop: Workshop, sealed_owner: TenantIds
) -> None:
    """As where an erasure destroys it between the two steps of another process's search."""
    job = await ingest(workshop, sealed_owner, new_canaries())
    await workshop.stores.blobs.destroy_key(job.tenant_id, await key_of(workshop, job))
    forgetful = SealedTexts(workshop.stores.blobs)
    found = await search(workshop, sealed_owner, forgetful, "harbour cranes", SearchMode.VECTOR)
    assert {(hit.text, hit.text_missing) for hit in found.data} == {("", True)}
    assert found.reasons == (TEXT_OUT_OF_REACH,)


async def test_without_keys_passages_are_found_without_their_text(
    workshop: Workshop, owner: TenantIds, sealed_owner: TenantIds, tmp_path: Path
) -> None:
    job = await ingest(workshop, sealed_owner, new_canaries())
    plain = new_canaries()
    await ingest(workshop, owner, plain)
    (tmp_path / "lost").symlink_to("lost")  # an error of the disk, whoever asks
    lost = FilesystemObjectStore(tmp_path / "lost")
    away = SealedTexts(BlobStore(lost, workshop.stores.keys, lost))
    found = await search(workshop, owner, away, "harbour cranes", SearchMode.VECTOR)
    missing = next(hit for hit in found.data if hit.file_id == job.file_id)
    assert (missing.text, missing.headings, missing.text_missing) == ("", (), True)
    assert any(plain.text in hit.text for hit in found.data)
    assert (found.degraded, found.reasons) == (True, (TEXT_OUT_OF_REACH,))
    with pytest.raises(ObjectStoreUnavailable):
        await reading.list_chunks(
            services_of(workshop, away), caller_of(owner), job.file_id, None, 50, None
        )
