"""What documents say of themselves: titles, authors, dates and languages, format by format."""

import io
import time
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import docx
import openpyxl
import pptx
import pytest
from PIL import ExifTags, Image

from activities.inspect import file_type
from activities.inspect.described import metadata_of
from activities.inspect.metadata import MAXIMUM_AUTHORS, MAXIMUM_TITLE, describe, language_tag
from muniment.contracts.documents import DocumentPlan
from muniment.errors import EncryptedDocument
from tests.activities.compound_file import SUMMARY, compound_file, properties
from tests.activities.made_documents import assembled_pdf, in_memory, inspected

WRITTEN = datetime(2001, 5, 3, 10, 20, 30, tzinfo=UTC)
TITLE, AUTHOR, CREATED = 2, 4, 12


def said(plan: DocumentPlan) -> tuple[str | None, tuple[str, ...], str | None, str | None]:
    return plan.title, plan.authors, plan.created, plan.language


# ── Packages ────────────────────────────────────────────────────────────────────────────────────


def package(parts: Mapping[str, str | bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return out.getvalue()


def saved(document: object) -> bytes:
    out = io.BytesIO()
    document.save(out)  # type: ignore[attr-defined] # each library's documents have it
    return out.getvalue()


def test_of_word_documents() -> None:
    document = docx.Document()
    document.add_paragraph("text")
    about = document.core_properties
    about.title, about.author, about.language = "The lease", "Ann Mill; Ben Ford", "en-GB"
    about.created = WRITTEN
    assert said(inspected(saved(document), "a.docx")) == (
        "The lease",
        ("Ann Mill", "Ben Ford"),
        "2001-05-03T10:20:30Z",
        "en-GB",
    )


def test_of_presentations() -> None:
    deck = pptx.Presentation()
    deck.slides.add_slide(deck.slide_layouts[0])
    about = deck.core_properties
    about.title, about.author, about.created = "The mill", "Ann Mill", WRITTEN
    plan = inspected(saved(deck), "a.pptx")
    assert said(plan) == ("The mill", ("Ann Mill",), "2001-05-03T10:20:30Z", None)


def test_of_workbooks() -> None:
    book = openpyxl.Workbook()
    about = book.properties
    about.title, about.creator, about.created = "Rents", "Ben Ford", WRITTEN.replace(tzinfo=None)
    plan = inspected(saved(book), "a.xlsx")
    assert said(plan) == ("Rents", ("Ben Ford",), "2001-05-03T10:20:30Z", None)


OPEN_DOCUMENT = "application/vnd.oasis.opendocument"
META = (
    '<o:document-meta xmlns:o="urn:oasis:names:tc:opendocument:xmlns:office:1.0"'
    ' xmlns:m="urn:oasis:names:tc:opendocument:xmlns:meta:1.0"'
    ' xmlns:dc="http://purl.org/dc/elements/1.1/"><o:meta><dc:title>Pravidla</dc:title>'
    "<m:initial-creator>Jana Nová</m:initial-creator><dc:creator>Who saved it</dc:creator>"
    "<m:creation-date>2001-05-03T10:20:30.123456789</m:creation-date>"
    "<dc:date>2009-01-01T00:00:00</dc:date><dc:language>cs-CZ</dc:language>"
    "</o:meta></o:document-meta>"
)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("text", "<x/>"),
        ("presentation", '<x xmlns:d="d"><d:page/></x>'),
        ("spreadsheet", '<x xmlns:t="t"><t:table/></x>'),
    ],
)
def test_of_open_documents(kind: str, content: str) -> None:
    data = package(
        {"mimetype": f"{OPEN_DOCUMENT}.{kind}", "content.xml": content, "meta.xml": META}
    )
    assert said(inspected(data, "unnamed")) == (
        "Pravidla",
        ("Jana Nová",),
        "2001-05-03T10:20:30.123456789",
        "cs-CZ",
    )


def test_damaged_metadata_does_not_spoil_a_document() -> None:
    data = package(
        {"mimetype": f"{OPEN_DOCUMENT}.text", "content.xml": "<x/>", "meta.xml": META[:200]}
    )
    assert said(inspected(data, "a.odt")) == (None, (), None, None)


MANIFEST = (
    '<m:manifest xmlns:m="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">'
    '<m:file-entry m:full-path="/" m:media-type="application/vnd.oasis.opendocument.text"/>'
    '<m:file-entry m:full-path="{locked}" m:size="42"><m:encryption-data'
    ' m:checksum-type="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0#sha256-1k"/>'
    "</m:file-entry></m:manifest>"
)


@pytest.mark.parametrize("kind", ["text", "spreadsheet", "presentation"])
@pytest.mark.parametrize("locked", ["content.xml", "encrypted-package"])
def test_an_open_document_with_a_password_is_said_to_be_encrypted(kind: str, locked: str) -> None:
    data = package(
        {
            "mimetype": f"{OPEN_DOCUMENT}.{kind}",
            locked: bytes(range(256)),
            "META-INF/manifest.xml": MANIFEST.format(locked=locked),
        }
    )
    with pytest.raises(EncryptedDocument) as raised:
        inspected(data, "unnamed")
    assert "without a password" in raised.value.remedy


def test_a_locked_macro_library_does_not_lock_the_document() -> None:
    library = "Basic/Standard/Module1.xml"
    data = package(
        {
            "mimetype": f"{OPEN_DOCUMENT}.text",
            "content.xml": "<x/>",
            library: bytes(range(256)),
            "META-INF/manifest.xml": MANIFEST.format(locked=library),
        }
    )
    assert inspected(data, "a.odt").page_count == 1


def book(metadata: str) -> bytes:
    return package(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:'
            'container"><rootfiles><rootfile full-path="OPS/book.opf"/></rootfiles></container>',
            "OPS/book.opf": '<package xmlns="http://www.idpf.org/2007/opf"'
            ' xmlns:opf="http://www.idpf.org/2007/opf"'
            f' xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata>{metadata}</metadata></package>',
        }
    )


def test_of_books() -> None:
    data = book(
        "<dc:title>Das Gut</dc:title><dc:title>Second</dc:title>"
        "<dc:creator>Eva Korn</dc:creator><dc:creator>Udo Rain</dc:creator>"
        '<dc:date opf:event="modification">2020-01-01</dc:date><dc:date>1999-11</dc:date>'
        "<dc:language>de</dc:language>"
    )
    plan = inspected(data, "a.epub")
    assert said(plan) == ("Das Gut", ("Eva Korn", "Udo Rain"), "1999-11", "de")


def test_of_books_that_say_nothing() -> None:
    assert said(inspected(book(""), "a.epub")) == (None, (), None, None)
    bare = package({"mimetype": "application/epub+zip", "a.xhtml": "<p>text</p>"})
    assert said(inspected(bare, "a.epub")) == (None, (), None, None)


# ── PDF ─────────────────────────────────────────────────────────────────────────────────────────


def described_pdf(about: str) -> bytes:
    bodies = [
        "<</Type/Catalog/Pages 2 0 R/Lang(fr_FR)>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>",
        about,
    ]
    return assembled_pdf(bodies).replace(b"/Root 1 0 R", b"/Root 1 0 R/Info 4 0 R")


def test_of_pdfs() -> None:
    about = "<</Title(Le bail)/Author(Ann Mill; Ben Ford)/CreationDate(D:20010503102030+02'00')>>"
    assert said(inspected(described_pdf(about), "a.pdf")) == (
        "Le bail",
        ("Ann Mill", "Ben Ford"),
        "2001-05-03T10:20:30+02:00",
        "fr-FR",
    )


@pytest.mark.parametrize(
    ("written", "created"),
    [
        ("D:20010503102030Z00'00'", "2001-05-03T10:20:30Z"),
        ("D:20010503", "2001-05-03"),
        ("20010503102030", "2001-05-03T10:20:30"),
        ("D:2001", "2001"),
        ("D:20011345102030", None),
        ("D:00000000000000", None),
        ("2001: a journey", None),
        ("2001/05/03", None),
        ("yesterday", None),
    ],
)
def test_dates_of_pdfs(written: str, created: str | None) -> None:
    assert inspected(described_pdf(f"<</CreationDate({written})>>"), "a.pdf").created == created


def test_bookmarks_of_real_documents(shared_data: Path) -> None:
    folder = shared_data / "documents/pdf-digital"
    nested = inspected((folder / "nested_outline.pdf").read_bytes(), "a.pdf").outline
    assert [(entry.title, entry.level, entry.page) for entry in nested] == [
        ("1. Introduction", 0, 1),
        ("1.1 Background", 1, 2),
        ("1.2 Motivation", 1, 3),
        ("2. Main Content", 0, 4),
        ("2.1 First Topic", 1, 5),
        ("2.2 Second Topic", 1, 6),
        ("3. Conclusion", 0, 7),
        ("3.1 Summary", 1, 8),
        ("3.2 Future Work", 1, 9),
    ]
    flat = inspected((folder / "pdflatex-outline.pdf").read_bytes(), "a.pdf").outline
    assert [(entry.title, entry.level, entry.page) for entry in flat] == [
        (title, 0, page)
        for title, page in zip(["Foo", "Bar", "Baz"] * 3, [2, 2, 2, 2, 3, 3, 3, 4, 4], strict=True)
    ]


# ── Messages ────────────────────────────────────────────────────────────────────────────────────

MAIL = (
    "From: =?utf-8?q?Jana_Nov=C3=A1?= <jana@example.org>, ben@example.org\n"
    "To: clerk@example.org\n"
    "Subject: =?iso-8859-2?q?N=E1jem?=\n of the mill\n"
    "Date: Thu, 3 May 2001 10:20:30 +0200\n"
    "\nThe lease is sealed.\n"
)
OF_MAIL = ("Nájem of the mill", ("Jana Nová", "ben@example.org"), "2001-05-03T10:20:30+02:00")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le"])
def test_of_mail(encoding: str) -> None:
    assert said(inspected(MAIL.encode(encoding), "a.eml"))[:3] == OF_MAIL


def test_of_mail_in_bare_utf_8() -> None:
    data = "From: Jana Nová <j@example.org>\nSubject: Nájem\n\ntext\n".encode()
    assert said(inspected(data, "a.eml"))[:2] == ("Nájem", ("Jana Nová",))


def test_mail_of_vast_or_broken_headers_stays_readable() -> None:
    vast = "From: " + '"a" <b@c>, ' * 20_000 + "\nSubject: Vast\nDate: never\n\ntext\n"
    plan = inspected(vast.encode(), "a.eml")
    assert (plan.title, plan.authors, plan.created) == ("Vast", ("a",), None)
    broken = "From: =?utf-8?b?!!!?= <<>>;;:,\nSubject: \u202e\nDate: 99 99\n\ntext\n"
    assert inspected(broken.encode(), "a.eml").page_count == 1


def test_of_outlook_messages(shared_data: Path) -> None:
    data = (shared_data / "documents/email/testMSG.msg").read_bytes()
    assert said(inspected(data, "a.msg")) == (
        "MIME registry use cases",
        ("Jukka Zitting",),
        "2009-01-29T19:16:40+00:00",
        None,
    )


# ── Old office formats ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("kind", "stream", "begins"),
    [
        (file_type.DOC, "WordDocument", b"\xec\xa5"),
        (file_type.PPT, "PowerPoint Document", b""),
        (file_type.XLS, "Workbook", b""),
    ],
)
def test_of_old_office_documents(kind: file_type.FileType, stream: str, begins: bytes) -> None:
    about = properties(
        {TITLE: "Pravidla nájmu".encode("cp1250"), AUTHOR: b"Ann Mill", CREATED: WRITTEN},
        code_page=1250,
    )
    data = compound_file({stream: begins, SUMMARY: about})
    found = metadata_of(in_memory(data), kind)
    assert found == describe("Pravidla nájmu", ["Ann Mill"], "2001-05-03T10:20:30Z")


@pytest.mark.parametrize(("code_page", "encoding"), [(65001, "utf-8"), (10000, "mac-roman")])
def test_of_old_office_documents_in_other_code_pages(code_page: int, encoding: str) -> None:
    about = properties({TITLE: "Loyer à payer".encode(encoding)}, code_page=code_page)
    data = compound_file({"WordDocument": b"\xec\xa5", SUMMARY: about})
    assert inspected(data, "a.doc").title == "Loyer à payer"


def test_a_date_that_no_program_filled_in_is_none() -> None:
    about = properties({TITLE: b"Lease", CREATED: datetime(1601, 1, 1, tzinfo=UTC)})
    data = compound_file({"WordDocument": b"\xec\xa5", SUMMARY: about})
    assert said(inspected(data, "a.doc")) == ("Lease", (), None, None)


@pytest.mark.parametrize("about", [b"", b"\xff" * 4096, properties({TITLE: b"x"})[:60]])
def test_damaged_properties_do_not_spoil_a_document(about: bytes) -> None:
    data = compound_file({"WordDocument": b"\xec\xa5", SUMMARY: about})
    assert inspected(data, "a.doc").page_count == 1


def test_of_rich_text() -> None:
    data = (
        rb"{\rtf1\ansi\ansicpg1250{\fonttbl{\f0 Arial;}}{\info{\title Pravidla n\'e1jmu \{1\}}"
        rb"{\author Jana Nov\u225?}{\operator Someone}{\creatim\yr2001\mo5\dy3\hr10\min20}}"
        rb"\f0 The lease is sealed.\par}"
    )
    plan = inspected(data, "a.rtf")
    assert said(plan) == ("Pravidla nájmu {1}", ("Jana Nová",), "2001-05-03", None)


@pytest.mark.parametrize("info", [b"", rb"{\info}", rb"{\info{\title {\b x}}}"])
def test_rich_text_that_says_nothing_readable(info: bytes) -> None:
    plan = inspected(rb"{\rtf1\ansi" + info + rb"\par The lease is sealed.\par}", "a.rtf")
    assert (plan.title, plan.authors) == (None, ())


# ── Web pages ───────────────────────────────────────────────────────────────────────────────────


def test_of_web_pages() -> None:
    data = (
        "<!doctype html><html lang='nl-NL'><head><meta charset=utf-8>"
        "<title>Tom &amp; Jerry\n&#8212; twee</title>"
        "<meta name='Author' content='Ann Mill'><meta content='Ben Ford' name=author>"
        "<meta name='DC.Date' content='2001-05-03'><meta name=date>"
        "</head><body><svg><title>A drawing</title></svg></body></html>"
    )
    assert said(inspected(data.encode(), "a.html")) == (
        "Tom & Jerry — twee",
        ("Ann Mill", "Ben Ford"),
        "2001-05-03",
        "nl-NL",
    )


@pytest.mark.parametrize(
    ("declared", "codec"), [("windows-1250", "cp1250"), ("gb2312", "gbk"), ("shift_jis", "cp932")]
)
def test_the_declared_charset_of_a_web_page_is_heeded(declared: str, codec: str) -> None:
    title = {"cp1250": "Příliš žluťoučký", "gbk": "租约", "cp932": "賃貸借契約"}[codec]
    page = f"<html><head><meta charset='{declared}'><title>{title}</title></head><p>x</p></html>"
    assert inspected(page.encode(codec), "a.html").title == title


@pytest.mark.parametrize(
    ("page", "title"),
    [
        ("<title>one</title><title>two</title>", "one"),
        ("<svg><title>drawn</title></svg><title>said</title>", "said"),
        ("<title>never closed <p>and all the text", None),
        ("<title>before</title><![broken", "before"),
        ("<!-- <title>no</title> --><!--><title>yes</title><!-- <title>", "yes"),
        ("<html lang='not a tag'><title></title>", None),
        ("<title>" + "x" * 10_000 + "</title>", "x" * MAXIMUM_TITLE),
        ("<title>" + "<b>" * 10_000, None),
    ],
)
def test_titles_of_careless_web_pages(page: str, title: str | None) -> None:
    plan = inspected(page.encode(), "a.html")
    assert (plan.title, plan.language) == (title, None)


@pytest.mark.parametrize("piece", ["<!--", "<!", "<?", "</", "<b>", "<meta a='", "<title>&amp"])
def test_no_web_page_takes_long(piece: str) -> None:
    page = (piece * 64_000)[:64_000].encode()
    began = time.process_time()
    assert metadata_of(in_memory(page), file_type.HTML) == describe(None, [], None)
    assert time.process_time() - began < 2


# ── Markdown ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("head", "known"),
    [
        (
            "---\ntitle: The 'lease'\nauthor: Ann Mill\ndate: 2001-05-03\nlanguage: en\n---\n",
            ("The 'lease'", ("Ann Mill",), "2001-05-03", "en"),
        ),
        ("---\n- : {\n---\n", (None, (), None, None)),
        ("---\n\n", (None, (), None, None)),
        ("", (None, (), None, None)),
    ],
)
def test_of_markdown(head: str, known: tuple[object, ...]) -> None:
    assert said(inspected(f"{head}# A heading\n\nThe lease.\n".encode(), "a.md")) == known


# ── Pictures ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_of_pictures(form: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = "The mill"
    exif[ExifTags.Base.Artist] = "Ann Mill; Ben Ford"
    taken = exif.get_ifd(ExifTags.IFD.Exif)
    taken[ExifTags.Base.DateTimeOriginal] = "2001:05:03 10:20:30"
    taken[ExifTags.Base.OffsetTimeOriginal] = "+02:00"
    out = io.BytesIO()
    Image.new("RGB", (40, 30), "white").save(out, form, exif=exif)
    assert said(inspected(out.getvalue(), "unnamed")) == (
        "The mill",
        ("Ann Mill", "Ben Ford"),
        "2001-05-03T10:20:30+02:00",
        None,
    )


def test_of_scans() -> None:
    out = io.BytesIO()
    tags = {ExifTags.Base.ImageDescription: "The mill", ExifTags.Base.Artist: "Ann Mill"}
    Image.new("RGB", (40, 30), "white").save(out, "TIFF", tiffinfo=tags)
    assert said(inspected(out.getvalue(), "a.tif")) == ("The mill", ("Ann Mill",), None, None)


@pytest.mark.parametrize("taken", ["0000:00:00 00:00:00", "    :  :     :  :  ", "x" * 100_000])
def test_pictures_of_no_or_senseless_time(taken: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = "Ein Gemälde".encode()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = taken
    out = io.BytesIO()
    Image.new("RGB", (40, 30), "white").save(out, "PNG", exif=exif)
    plan = inspected(out.getvalue(), "a.png")
    assert (plan.title, plan.created) == ("Ein Gemälde", None)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_a_picture_with_damaged_metadata_stays_a_picture() -> None:
    out = io.BytesIO()
    damaged = b"Exif\0\0II*\0\xff\xff\xff\xff" + b"\xff" * 60
    Image.new("RGB", (40, 30), "white").save(out, "JPEG", exif=damaged)
    assert said(inspected(out.getvalue(), "a.jpg")) == (None, (), None, None)


# ── What all have in common ─────────────────────────────────────────────────────────────────────


def test_values_are_bounded_and_cleaned() -> None:
    found = describe(
        "a\u202e\x07\n" + "b" * 10_000_000,
        [f"author {number}" for number in range(1000)],
        "2001-05-03" + "0" * 1000,
        "e" * 1000,
    )
    assert found.title == "a " + "b" * (MAXIMUM_TITLE - 2)
    assert len(found.authors) == MAXIMUM_AUTHORS
    assert (found.created, found.language) == (None, None)


@pytest.mark.parametrize(
    ("written", "tag"),
    [(" en ", "en"), ("en_US", "en-US"), ("und", None), ("x-default", None), ("", None)],
)
def test_tags_of_languages(written: str, tag: str | None) -> None:
    assert language_tag(written) == tag
