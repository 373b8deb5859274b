"""A document of words and a picture that stand nowhere else, and where on a disk they lie."""

import mmap
import os
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from uuid import uuid4

import docx
from PIL import Image
from psycopg import sql

from tests.stack import Stack

PIECE_BYTES = 48
PICTURE_SIDE = 64


@dataclass(frozen=True)
class Canaries:
    """Words by the place where they are put, and pieces of the picture's bytes and of the file's, in which
    all is compressed."""

    words: dict[str, str]
    picture: bytes
    packed: bytes

    def needles(self) -> list[bytes]:
        return [
            self.picture,
            self.packed,
            *(each for word in self.words.values() for each in _spellings(word)),
        ]


PLACES = ("name", "text", "title", "label", "metadata", "annotation", "comment", "feedback", "tag")


def write_document(folder: Path) -> tuple[Path, Canaries]:
    """A document of Word. Its words are of letters alone, so that an index takes each for one term."""
    words = {place: f"{place}{_letters()}" for place in PLACES}
    written = docx.Document()
    written.core_properties.title = f"On the {words['title']}"
    written.add_paragraph(
        f"The shipwright of {words['text']} leased the drydock until the ninth of March 2031."
    )
    picture = BytesIO()
    noise = os.urandom(PICTURE_SIDE * PICTURE_SIDE * 3)
    Image.frombytes("RGB", (PICTURE_SIDE, PICTURE_SIDE), noise).save(picture, "PNG")
    written.add_picture(BytesIO(picture.getvalue()))
    path = folder / f"{words['name']}.docx"
    written.save(str(path))
    # From the middle of what was compressed: noise stays as long as it was.
    middle = len(picture.getvalue()) // 2
    packed = path.read_bytes()
    with zipfile.ZipFile(path) as package:
        [member] = [each for each in package.infolist() if each.filename.startswith("word/media/")]
    begin = member.header_offset + member.compress_size // 2
    return path, Canaries(
        words,
        picture.getvalue()[middle : middle + PIECE_BYTES],
        packed[begin : begin + PIECE_BYTES],
    )


def files_with(folders: Sequence[Path], needles: Sequence[bytes]) -> dict[str, set[bytes]]:
    """What of the needles each file of the folders has in it, where it has any."""
    found: dict[str, set[bytes]] = {}
    for folder in folders:
        for path in _files(folder):
            if there := _in_file(path, needles):
                found[str(path)] = there
    return found


def rows_with(stack: Stack, words: Sequence[str]) -> set[tuple[str, str]]:
    """Tables and columns that have one of the words, whatever way PostgreSQL has packed them on its disk."""
    pattern = "|".join(words)
    encoded = "|".join(word.encode().hex() for word in words)
    with stack.database() as connection:
        columns = connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns"
            " JOIN information_schema.tables USING (table_schema, table_name)"
            " WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
        ).fetchall()
        found = set()
        for table, column in columns:
            query = sql.SQL("SELECT 1 FROM {} WHERE {}::text ~* %s LIMIT 1").format(
                sql.Identifier(table), sql.Identifier(column)
            )
            if connection.execute(query, (f"{pattern}|{encoded}",)).fetchone():
                found.add((table, column))
    return found


def _letters() -> str:
    return "".join(chr(ord("a") + int(digit, 16)) for digit in uuid4().hex[:16])


def _spellings(word: str) -> Iterator[bytes]:
    for form in (word, word.upper(), word.capitalize()):
        yield form.encode()
        yield form.encode("utf-16-le")


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _in_file(path: Path, needles: Sequence[bytes]) -> set[bytes]:
    try:
        with path.open("rb") as file:
            if not os.fstat(file.fileno()).st_size:
                return set()
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                return {needle for needle in needles if content.find(needle) >= 0}
    except FileNotFoundError:  # of a store that is at work meanwhile
        return set()
