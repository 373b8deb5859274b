"""No word of a document lies on a disk in the clear, outside the text and index columns of the database.

While jobs run, after a worker was killed with a document open, and when all is done: the home, the
folder for temporary files, and whatever files the processes of the stack hold open, deleted ones too,
are searched for words of the documents and for pieces of their bytes.
"""

import base64
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest
from psycopg import sql

from activities.scratch import FOLDER
from muniment.opened_content import MEMORY_ROOT
from tests.e2e.clear_documents import WORDS, documents, piece
from tests.stack import Stack, running_stack, wait_for

MEMORY_FILE_SYSTEMS = {"tmpfs", "ramfs", "devtmpfs", "proc", "sysfs"}
TEXT_COLUMNS = {("chunk", "text"), ("unmerged_posting", "terms")}
"""Where words may be read in the database: what is searched and shown, and its index, of which nothing
is merged yet."""

BLOCK_BYTES = 64 * 1024

pytestmark = pytest.mark.timeout(1_200)


def spellings(word: str) -> Iterator[bytes]:
    """The word as it may lie on a disk."""
    for form in (word, word.upper(), word.capitalize()):
        yield form.encode("utf-8")
        yield form.encode("utf-16-le")
        yield form.encode("utf-16-be")
        for shift in range(3):
            # The first and the last group of four hold bits of what stands beside the word.
            encoded = base64.b64encode(bytes(shift) + form.encode("ascii"))
            yield encoded[4 : len(encoded) // 4 * 4 - 4]


@dataclass
class Search:
    """Looks for all needles in files, and keeps where one was found."""

    home: Path
    temporary: Path
    needles: tuple[bytes, ...]
    found: set[str] = field(default_factory=set)
    looked_at: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Size and time of change of each file: one that is as it was is not read again."""
    blocks: dict[str, list[int]] = field(default_factory=dict)
    """Hashes of each file's blocks: one that is as it was is not searched again."""

    def __post_init__(self) -> None:
        # Beyond a block's end, where what begins in it may go on.
        self._overlap = max(map(len, self.needles)) - 1

    def everywhere(self) -> None:
        for folder in (self.home, self.temporary):
            for path in folder.rglob("*"):
                if not path.is_relative_to(self.home / "postgres"):
                    self._look_into(path, str(path))
        for process in self._processes():
            with suppress(OSError):
                for descriptor in Path(f"/proc/{process.pid}/fd").iterdir():
                    self._look_into_open(descriptor)

    def _look_into_open(self, descriptor: Path) -> None:
        with suppress(OSError):
            target = os.readlink(descriptor)
            if not target.startswith("/") or target.startswith(str(self.home / "postgres")):
                return
            if _is_for_writing(descriptor) and not _is_in_memory(descriptor):
                self._look_into(descriptor, target)

    def _look_into(self, path: Path, told: str) -> None:
        with suppress(OSError):
            found = path.stat()
            state = (found.st_size, found.st_mtime_ns)
            if not stat.S_ISREG(found.st_mode) or self.looked_at.get(told) == state:
                return
            self.looked_at[told] = state
            before = self.blocks.get(told, [])
            hashes = []
            for number, block in enumerate(self._blocks_of(path.read_bytes())):
                hashes.append(hash(block))
                if before[number : number + 1] != hashes[-1:] and self._has_a_needle(block):
                    self.found.add(told)
            self.blocks[told] = hashes

    def _blocks_of(self, content: bytes) -> Iterator[bytes]:
        for begin in range(0, len(content), BLOCK_BYTES):
            yield content[begin : begin + BLOCK_BYTES + self._overlap]

    def _has_a_needle(self, block: bytes) -> bool:
        return any(needle in block for needle in self.needles)

    def _processes(self) -> list[psutil.Process]:
        """Those of the stack: the supervisor's children, their children, and so on."""
        with suppress(OSError, ValueError, psutil.NoSuchProcess):
            pid = int((self.home / "run" / "supervisor.pid").read_text().split()[0])
            supervisor = psutil.Process(pid)
            return [supervisor, *supervisor.children(recursive=True)]
        return []


def _is_for_writing(descriptor: Path) -> bool:
    """Else it was there before it was opened, as libraries and models are."""
    details = descriptor.parent.parent / "fdinfo" / descriptor.name
    flags = next(
        line.split()[1] for line in details.read_text().splitlines() if line.startswith("flags:")
    )
    return int(flags, 8) & os.O_ACCMODE != os.O_RDONLY


def _is_in_memory(descriptor: Path) -> bool:
    """Whether an open file lies in a file system that has no disk."""
    device = os.stat(descriptor).st_dev
    with Path("/proc/self/mountinfo").open(encoding="utf-8") as mounts:
        for line in mounts:
            fields, _, more = line.partition(" - ")
            major, minor = fields.split()[2].split(":")
            if os.makedev(int(major), int(minor)) == device:
                return more.split()[0] in MEMORY_FILE_SYSTEMS
    # The kernel's own, as of memfd_create: mounted nowhere.
    return True


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return documents(tmp_path_factory.mktemp("documents"))


@pytest.fixture(scope="module")
def needles(files: list[Path]) -> tuple[bytes, ...]:
    return (*map(piece, files), *(each for word in WORDS for each in spellings(word)))


def test_the_search_finds_every_spelling(tmp_path: Path, needles: tuple[bytes, ...]) -> None:
    """Else what follows could not fail."""
    (tmp_path / "home").mkdir()
    (tmp_path / "temporary").mkdir()
    sentence = f"about the {WORDS[0]} of the north"
    planted = {
        "utf-8": sentence.encode(),
        "utf-16": sentence.encode("utf-16"),
        "over-the-end-of-a-block": bytes(BLOCK_BYTES - 10) + sentence.encode(),
        **{f"base64-{n}": base64.b64encode(bytes(n) + sentence.encode()) for n in range(3)},
    }
    for name, content in planted.items():
        (tmp_path / "home" / name).write_bytes(content)
    search = Search(tmp_path / "home", tmp_path / "temporary", needles)
    search.everywhere()
    assert {Path(each).name for each in search.found} == set(planted)


def test_no_word_of_a_document_lies_on_a_disk(
    tmp_path: Path, files: list[Path], needles: tuple[bytes, ...]
) -> None:
    temporary = tmp_path / "t"
    temporary.mkdir()
    home = tmp_path / "home"
    search = Search(home, temporary, needles)
    with running_stack(home, TMPDIR=str(temporary)) as stack, stack.client() as client:
        over = threading.Event()
        searching = threading.Thread(target=_search_until, args=(search, over))
        searching.start()
        try:
            jobs = [_job_of(stack.upload(client, path)) for path in files]
            _kill_with_a_document_open(stack, needles)
            search.everywhere()
            for job in jobs:
                assert stack.finished_job(client, job, timeout_seconds=400)["state"] == "completed"
            _use(stack, client)
        finally:
            over.set()
            searching.join()
        search.everywhere()
        assert _open_in_memory(needles) == set(), "a killed worker's documents are left in memory"
        assert _columns_with_words(stack) == TEXT_COLUMNS
    search.everywhere()
    assert any("objects" in path for path in search.looked_at)
    assert any(path.endswith(".jsonl") for path in search.looked_at)
    assert search.found == set()


def _search_until(search: Search, over: threading.Event) -> None:
    while not over.wait(0.5):
        search.everywhere()


def _job_of(file: dict[str, object]) -> object:
    job = file["job"]
    assert isinstance(job, dict)
    return job["id"]


def _kill_with_a_document_open(stack: Stack, needles: tuple[bytes, ...]) -> None:
    """kill -9 of the worker that reads, while a document's bytes lie in its scratch folder."""
    wait_for(
        lambda: _open_in_memory(needles),
        timeout_seconds=180,
        what="a document to be opened",
        pause_seconds=0.002,
    )
    stack.kill("worker-cpu")
    assert _open_in_memory(needles), "the worker had closed it: there was nothing to leave behind"


def _open_in_memory(needles: tuple[bytes, ...]) -> set[Path]:
    found = set()
    for path in (MEMORY_ROOT / FOLDER).glob("*/*"):
        with suppress(OSError):
            content = path.read_bytes()
            if any(needle in content for needle in needles):
                found.add(path)
    return found


def _use(stack: Stack, client: httpx.Client) -> None:
    """What leaves traces elsewhere: searches, answers, views, downloads, and a refusal."""
    assert client.post("/v1/search", json={"query": WORDS[0]}).json()["data"]
    assert client.post("/v1/query", json={"query": f"What of {WORDS[1]}?"}).status_code == 200
    for file in client.get("/v1/files").json()["data"]:
        assert client.get(f"/v1/files/{file['id']}/text").status_code == 200
        assert client.get(f"/v1/files/{file['id']}/content").status_code == 200
        stack.get_made(client, f"/v1/files/{file['id']}/markdown")
    refused = client.post("/v1/search", json={"query": WORDS[0], "mode": WORDS[1]})
    assert refused.status_code in (400, 422)


def _columns_with_words(stack: Stack) -> set[tuple[str, str]]:
    pattern = "|".join(WORDS)
    with stack.database() as connection:
        columns = connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns"
            " JOIN information_schema.tables USING (table_schema, table_name)"
            " WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
        ).fetchall()
        return {
            (table, column)
            for table, column in columns
            if connection.execute(
                sql.SQL("SELECT 1 FROM {} WHERE {}::text ~* %s LIMIT 1").format(
                    sql.Identifier(table), sql.Identifier(column)
                ),
                (pattern,),
            ).fetchone()
        }
