"""What is taken out of archives and messages, and what never is."""

import io
import stat
import struct
import tarfile
import zipfile
import zlib
from email.message import EmailMessage
from pathlib import Path

import pytest
import pyzipper

from activities.inspect import file_type
from activities.members import walk
from activities.members.calls import MemberPiece, UnpackOutcome, UnpackRequest
from activities.members.engine import unpack
from activities.members.walk import Budget, members_of, pieces_of
from activities.sandbox.registry import EngineContext
from muniment.errors import DamagedDocument, DocumentError, EncryptedDocument, LimitExceeded
from tests.activities.made_documents import in_memory, inspected

ZIP, TAR = file_type.ZIP.media_type, file_type.TAR.media_type


def zipped(entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return out.getvalue()


def tarred(entries: dict[str, bytes], mode: str = "w") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload] # a plain str
        for name, content in entries.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def taken(data: bytes, media_type: str, password: str | None = None) -> dict[str, bytes]:
    budget = Budget(len(data))
    return {
        member.path: b"".join(pieces_of(member, budget))
        for member in members_of(in_memory(data), media_type, password)
        if member.refusal is None
    }


def unpacked(data: bytes, password: str | None = None) -> tuple[UnpackOutcome, dict[int, str]]:
    """What the engine says of an archive, and how each of its members ended, by ordinal."""
    ends: dict[int, str] = {}

    def report(piece: object) -> None:
        assert isinstance(piece, MemberPiece)
        if piece.is_last or piece.is_abandoned:
            ends[piece.ordinal] = "taken" if piece.is_last else "abandoned"

    request = UnpackRequest(media_type=ZIP, password=password, total_bytes=10**9, entries=100)
    return unpack(request, EngineContext(in_memory(data), report)), ends


def refused(data: bytes, media_type: str) -> dict[str, str]:
    return {
        member.path: member.refusal
        for member in members_of(in_memory(data), media_type, None)
        if member.refusal is not None
    }


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_is_known_by_its_content_however_packed(mode: str) -> None:
    data = tarred({"a/b.txt": b"one", "c.txt": b"two"}, mode)
    plan = inspected(data, "no extension")
    assert (plan.media_type, plan.member_count, plan.page_count) == (TAR, 2, 1)
    assert taken(data, TAR) == {"a/b.txt": b"one", "c.txt": b"two"}


def test_a_zip_gives_its_files_and_not_what_systems_leave_in_it(shared_data: Path) -> None:
    data = zipped({"a/": b"", "a/b.txt": b"one", "__MACOSX/a/._b.txt": b"", ".DS_Store": b"x"})
    assert taken(data, ZIP) == {"a/b.txt": b"one"}
    foreign = (shared_data / "documents" / "archive" / "gbk.zip").read_bytes()
    (path,) = taken(foreign, ZIP)
    assert path.startswith("审计")


@pytest.mark.parametrize(
    "path", ["../up.txt", "/etc/passwd", "a/../../b", "C:\\boot.ini", "..\\up.txt"]
)
@pytest.mark.parametrize("media_type", [ZIP, TAR])
def test_paths_that_lead_out_are_refused_and_the_others_taken(path: str, media_type: str) -> None:
    entries = {path: b"evil", "good.txt": b"good"}
    data = zipped(entries) if media_type == ZIP else tarred(entries)
    assert taken(data, media_type) == {"good.txt": b"good"}
    assert list(refused(data, media_type).values()) == ["its path leads out of the archive"]


def test_links_and_devices_are_refused() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
            info = tarfile.TarInfo(f"kind-{kind.decode()}")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    assert taken(out.getvalue(), TAR) == {}
    assert len(refused(out.getvalue(), TAR)) == 4
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive_:
        archive_.writestr(link, "/etc/passwd")
    assert refused(out.getvalue(), ZIP) == {"link": "it is no ordinary file"}


@pytest.mark.parametrize(
    "bomb",
    [
        zipped({"zeros": b"\0" * 30_000_000}),
        zipped({f"{number}": b"\0" * 9_000_000 for number in range(4)}),
        tarred({"zeros": b"\0" * 30_000_000}, "w:gz"),
        tarred({"zeros": b"\0" * 30_000_000}, "w:xz"),
        zipped({str(number): b"" for number in range(10_001)}),
    ],
    ids=["one entry", "many entries", "gzip", "xz", "count"],
)
def test_bombs_are_refused_before_they_unpack(bomb: bytes) -> None:
    with pytest.raises(LimitExceeded):
        inspected(bomb, "a.bin")


def test_a_tar_that_declares_gigabytes_is_refused() -> None:
    info = tarfile.TarInfo("huge")
    info.size = 3 * 1024**3
    with pytest.raises(DocumentError):
        inspected(info.tobuf() + b"\0" * 1024, "a.tar")


def test_bytes_are_counted_as_they_come_and_not_as_they_are_declared() -> None:
    data = bytearray(zipped({"zeros": b"\0" * 20_000_000}))
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = data.index(signature) + offset
        data[at : at + 4] = struct.pack("<I", 100)
    with pytest.raises(DocumentError):
        taken(bytes(data), ZIP)
    with pytest.raises(LimitExceeded):
        Budget(packed_bytes=1000, total_bytes=99).spend(100)


def test_an_archive_cut_short_is_refused() -> None:
    whole = tarred({"a.txt": b"word " * 9000, "b.txt": b"word"}, "w:gz")
    with pytest.raises(DamagedDocument):
        taken(whole[: len(whole) // 2], TAR)
    with pytest.raises(DocumentError):
        inspected(zipped({"a.txt": b"word " * 9000})[:60], "a.zip")


def test_a_member_that_cannot_be_read_leaves_the_others_their_ordinals() -> None:
    entries = {"one.txt": b"one", "two.txt": b"two" * 400_000, "three.txt": b"three"}
    whole = zipped(entries, zipfile.ZIP_STORED)
    damaged = whole.replace(b"two" * 400_000, b"two" * 399_999 + b"tw?")  # its checksum tells
    assert unpacked(damaged) == (
        UnpackOutcome(taken=3, refused=1),
        {0: "taken", 1: "abandoned", 2: "taken"},
    )
    first_lost = whole.replace(b"PK\x03\x04", b"PK\x00\x00", 1)
    assert inspected(first_lost, "a.zip").member_count == 3
    assert unpacked(first_lost)[1] == {0: "abandoned", 1: "taken", 2: "taken"}


def test_an_encrypted_member_among_open_ones_waits_for_its_password() -> None:
    data = with_entry(encrypted_zip(b"sealed.txt", b"the lease", b"secret"), "open.txt", b"open")
    in_order = {0: "abandoned", 1: "taken"}
    assert unpacked(data) == (UnpackOutcome(taken=2, refused=1), in_order)
    assert unpacked(data, "secret")[1] == {0: "taken", 1: "taken"}


def with_entry(archive: bytes, name: str, content: bytes) -> bytes:
    out = io.BytesIO(archive)
    with zipfile.ZipFile(out, "a") as appended:
        appended.writestr(name, content)
    return out.getvalue()


def encrypted_zip(name: bytes, content: bytes, password: bytes) -> bytes:
    """A stored entry under the traditional encryption (APPNOTE 6.1), which Python only reads."""

    def crc(key: int, byte: int) -> int:
        return zlib.crc32(bytes([byte]), key ^ 0xFFFFFFFF) ^ 0xFFFFFFFF

    keys = [0x12345678, 0x23456789, 0x34567890]

    def update(byte: int) -> None:
        keys[0] = crc(keys[0], byte)
        keys[1] = ((keys[1] + (keys[0] & 0xFF)) * 134775813 + 1) & 0xFFFFFFFF
        keys[2] = crc(keys[2], keys[1] >> 24)

    for byte in password:
        update(byte)
    checksum, sealed = zlib.crc32(content), bytearray()
    for byte in bytes(11) + bytes([checksum >> 24]) + content:
        turned = (keys[2] | 2) & 0xFFFF
        sealed.append(byte ^ (turned * (turned ^ 1) >> 8) & 0xFF)
        update(byte)
    sizes = struct.pack("<LLLHH", checksum, len(sealed), len(content), len(name), 0)
    local = struct.pack("<4sHHHHH", b"PK\x03\x04", 20, 1, 0, 0, 33) + sizes + name + sealed
    central = struct.pack("<4sHHHHHH", b"PK\x01\x02", 20, 20, 1, 0, 0, 33) + sizes
    central += struct.pack("<HHHLL", 0, 0, 0, 0, 0) + name
    end = struct.pack("<4sHHHHLLH", b"PK\x05\x06", 0, 0, 1, 1, len(central), len(local), 0)
    return local + central + end


def test_an_encrypted_archive_opens_with_its_password() -> None:
    data = encrypted_zip(b"a.txt", b"the lease", b"secret")
    with pytest.raises(EncryptedDocument, match="needs a password"):
        inspected(data, "a.zip")
    with pytest.raises(EncryptedDocument, match="does not open"):
        taken(data, ZIP, "wrong")
    assert taken(data, ZIP, "secret") == {"a.txt": b"the lease"}


@pytest.mark.parametrize("bits", [128, 192, 256])
def test_an_archive_under_aes_opens_with_its_password(bits: int) -> None:
    """As 7-Zip, WinZip and macOS's successors make them."""
    out = io.BytesIO()
    with pyzipper.AESZipFile(
        out, "w", compression=pyzipper.ZIP_DEFLATED, encryption=pyzipper.WZ_AES
    ) as archive:
        archive.setpassword(b"secret")
        archive.setencryption(pyzipper.WZ_AES, nbits=bits)
        archive.writestr("a.txt", b"the lease " * 100)
        archive.writestr("b/\u00fc.txt", b"")
    data = with_entry(out.getvalue(), "open.txt", b"open")
    with pytest.raises(EncryptedDocument, match="needs a password"):
        taken(data, ZIP)
    with pytest.raises(EncryptedDocument, match="does not open"):
        taken(data, ZIP, "wrong")
    found = taken(data, ZIP, "secret")
    assert found == {"a.txt": b"the lease " * 100, "b/\u00fc.txt": b"", "open.txt": b"open"}


def test_an_entry_under_aes_that_was_changed_is_not_taken() -> None:
    out = io.BytesIO()
    with pyzipper.AESZipFile(out, "w", encryption=pyzipper.WZ_AES) as archive:
        archive.setpassword(b"secret")
        archive.writestr("a.txt", b"the lease")
    data = bytearray(out.getvalue())
    data[data.index(b"PK\x01\x02") - 15] ^= 1  # in the sealed bytes, before their code of ten
    with pytest.raises(DamagedDocument):
        taken(bytes(data), ZIP, "secret")


def test_a_message_gives_attachments_and_messages_but_no_pictures_of_its_text() -> None:
    inner = EmailMessage()
    inner["Subject"] = "The lease"
    inner.set_content("Inner text")
    message = EmailMessage()
    message["Subject"] = "Papers"
    message.set_content("See attached.")
    message.add_alternative('<img src="cid:logo">', subtype="html")
    html = message.get_payload()[1]  # type: ignore[index] # the parts
    html.add_related(b"\x89PNG", "image", "png", cid="<logo>", disposition="inline")  # type: ignore[union-attr] # a part
    message.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="../a/b.pdf")
    message.add_attachment(inner)
    message.add_attachment("nameless", subtype="csv")
    got = taken(message.as_bytes(), file_type.EMAIL.media_type)
    assert list(got) == ["b.pdf", "The lease.eml", "attachment-3.csv"]
    assert got["b.pdf"] == b"%PDF"
    assert b"Inner text" in got["The lease.eml"]


def test_an_outlook_message_gives_its_attachments(shared_data: Path) -> None:
    data = (shared_data / "documents" / "email" / "testMSG_att_doc.msg").read_bytes()
    assert inspected(data, "a.msg").member_count == 2
    got = taken(data, file_type.MSG.media_type)
    assert {name: len(content) for name, content in got.items()} == {
        "test-unicode.doc": 24064,
        "pj1.txt": 89,
    }


def test_packages_of_other_programs_are_no_archives() -> None:
    with pytest.raises(DocumentError):
        inspected(zipped({"[Content_Types].xml": b"<x/>", "visio/document.xml": b""}), "a.vsdx")
    with pytest.raises(DocumentError):
        inspected(zipped({"Index/Document.iwa": b""}), "a.pages")
    assert walk.holds_members(ZIP)
