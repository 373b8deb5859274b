"""Names in ZIP archives, in whatever encoding, each of its own entry."""

import zipfile
from collections.abc import Sequence
from io import BytesIO

from activities.inspect import file_type
from activities.members.walk import members_of
from tests.activities.made_documents import in_memory


def archive_of(names: Sequence[bytes]) -> bytes:
    """Entries under these raw names, none of them marked as UTF-8; each holds its own number."""
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number, name in enumerate(names):
            archive.writestr(_placeholder(number, len(name)), str(number))
    data = out.getvalue()
    for number, name in enumerate(names):
        data = data.replace(_placeholder(number, len(name)).encode(), name)
    return data


def _placeholder(number: int, length: int) -> str:
    return f"{number:x}".rjust(length, "~")


def members(names: Sequence[bytes]) -> list[tuple[str, bool]]:
    """The members' paths, and whether each is refused."""
    found = members_of(in_memory(archive_of(names)), file_type.ZIP.media_type, None)
    return [(member.path, member.refusal is not None) for member in found]


def test_a_name_with_a_line_break_moves_no_other_name() -> None:
    names = [b"a\nharmless.txt", b"../../leads/out.txt", b"last\r\n.txt"]
    assert members(names) == [
        ("a_harmless.txt", False),
        ("../../leads/out.txt", True),
        ("last__.txt", False),
    ]


def test_names_are_read_in_the_encoding_that_all_of_them_look_like() -> None:
    words = ["Übergabeprotokoll für Grundstücke", "Kaufverträge\nmit Anhängen", "Prüfbericht Höfe"]
    found = members([f"{word}.txt".encode("cp1252") for word in words])
    assert found == [(f"{word}.txt".replace("\n", "_"), False) for word in words]
