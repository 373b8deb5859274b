"""What `inspect` finds out about documents, and how it refuses those that cannot be read."""

import io
import zipfile

import pytest
from PIL import Image

from activities.inspect.archive import open_package
from activities.inspect.text_quality import fault_of
from muniment.contracts.documents import DocumentFamily, PageSource
from muniment.errors import (
    DamagedDocument,
    DocumentError,
    EmptyFile,
    EncryptedDocument,
    LimitExceeded,
    NoPages,
    UnknownFormat,
    WrongType,
)
from tests.activities.drawn_pdf import drawn_pdf, shown
from tests.activities.made_documents import (
    SAMPLES,
    inspected,
    pdf,
    picture,
    presentation,
    word_document,
    workbook,
)

TEXT_PDF = pdf([[(72, 700, 12, "A page with a text layer")], []])


@pytest.mark.parametrize(
    ("data", "name", "family", "pages"),
    [
        (TEXT_PDF, "a.pdf", DocumentFamily.PDF, 2),
        (picture(["x"]), "a.png", DocumentFamily.IMAGE, 1),
        (picture(["x"], form="TIFF"), "a.tif", DocumentFamily.IMAGE, 1),
        (word_document(), "a.docx", DocumentFamily.WORD, 1),
        (presentation(3), "a.pptx", DocumentFamily.PRESENTATION, 3),
        (workbook(), "a.xlsx", DocumentFamily.SPREADSHEET, 2),
        (b"<html><title>T</title><body>x</body></html>", "a.html", DocumentFamily.HTML, 1),
        (b"# Title\n\ntext\n", "a.md", DocumentFamily.MARKDOWN, 1),
        (b"a,b\n1,2\n", "a.csv", DocumentFamily.SPREADSHEET, 1),
        ("Schöne Grüße".encode("cp1252"), "a.txt", DocumentFamily.TEXT, 1),
    ],
)
def test_family_and_page_count(data: bytes, name: str, family: DocumentFamily, pages: int) -> None:
    plan = inspected(data, name)
    assert (plan.family, plan.page_count) == (family, pages)
    assert [page.page for page in plan.pages] == list(range(1, pages + 1))


def test_the_content_decides_where_the_name_says_nothing() -> None:
    assert inspected(TEXT_PDF, "unnamed").media_type == "application/pdf"
    assert inspected(b"just some words\n" * 10, "unnamed").media_type == "text/plain"


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP"])
def test_an_animation_is_one_page(form: str) -> None:
    frames = [
        Image.open(io.BytesIO(picture([word]))) for word in ("Charters", "Registers", "Seals")
    ]
    out = io.BytesIO()
    frames[0].save(out, form, save_all=True, append_images=frames[1:], duration=100)
    with Image.open(out) as animation:
        assert getattr(animation, "n_frames", 1) == 3
    assert inspected(out.getvalue(), f"a.{form.lower()}").page_count == 1


def test_images_may_bear_one_anothers_names() -> None:
    assert inspected(picture(["x"]), "a.jpg").media_type == "image/png"


def test_a_scan_is_planned_for_ocr_and_text_is_not(shared_data: object) -> None:
    text = inspected((SAMPLES / "pdf/senate-expenditures.pdf").read_bytes(), "a.pdf")
    assert {page.source for page in text.pages} == {PageSource.TEXT}
    scan = f"{shared_data}/documents/ocr-derived/wp-garbage-text-layer.pdf"
    with open(scan, "rb") as file:
        garbage = inspected(file.read(), "a.pdf")
    assert {page.source for page in garbage.pages} == {PageSource.OCR}


def test_metadata_is_taken_along_and_cleaned() -> None:
    assert inspected(word_document(), "a.docx").title == "Rules of the archive"
    html = "<title>Two\u202e\nlines\x07</title>".encode()
    assert inspected(html, "a.html").title == "Two lines"


@pytest.mark.parametrize(
    ("data", "name", "error"),
    [
        (b"", "a.pdf", EmptyFile),
        (b"\x00\x01\x02\x03" * 100, "a.bin", UnknownFormat),
        (b"\x7fELF\x02\x01\x01" + bytes(500), "a.pdf", WrongType),
        (b"only text, no document\n", "a.docx", WrongType),
        (picture(["x"]), "a.pdf", WrongType),
        (TEXT_PDF, "a.txt", WrongType),
        (TEXT_PDF[: len(TEXT_PDF) // 2], "a.pdf", DamagedDocument),
        (word_document()[:3000], "a.docx", DamagedDocument),
        (picture(["x"])[:600], "a.png", DamagedDocument),
        (pdf([]), "a.pdf", NoPages),
    ],
)
def test_refusals(data: bytes, name: str, error: type[DocumentError]) -> None:
    with pytest.raises(error) as raised:
        inspected(data, name)
    assert raised.value.detail
    assert raised.value.remedy


def test_an_encrypted_pdf_needs_its_password() -> None:
    data = (SAMPLES / "pdf/encrypted.pdf").read_bytes()
    with pytest.raises(EncryptedDocument, match="needs a password"):
        inspected(data, "a.pdf")
    with pytest.raises(EncryptedDocument, match="does not open"):
        inspected(data, "a.pdf", password="wrong")
    plan = inspected(data, "a.pdf", password="openpassword")
    assert plan.page_count == 1
    assert plan.needs_password


def test_a_password_that_nothing_needs_is_not_said_to_be_needed() -> None:
    assert not inspected(TEXT_PDF, "a.pdf", password="openpassword").needs_password


def _package(entries: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as package:
        for name, data in entries.items():
            package.writestr(name, data)
    return out.getvalue()


def test_a_package_that_swells_beyond_measure_is_refused() -> None:
    bomb = _package({"[Content_Types].xml": b"<x/>", "word/document.xml": bytes(20 * 1024**2)})
    with pytest.raises(LimitExceeded, match="100 times"):
        inspected(bomb, "a.docx")


def test_overlapping_entries_are_refused() -> None:
    data = bytearray(_package({"a": b"x" * 1000, "b": b"y" * 1000}))
    second = data.rindex(b"PK\x01\x02")
    data[second + 42 : second + 46] = bytes(4)  # the second entry now starts where the first does
    with pytest.raises(LimitExceeded, match="overlap"), open_package(io.BytesIO(data)):
        pass


PROSE = "Every deed is kept in the muniment room and shown to no one without leave. " * 4


def test_a_package_that_lost_bytes_is_refused_as_damaged() -> None:
    media_type = b"application/vnd.oasis.opendocument.text"
    whole = _package({"mimetype": media_type, "content.xml": b"<office/>" * 50})
    with pytest.raises(DamagedDocument):
        inspected(whole[:60] + whole[90:], "a.odt")


def test_bookmarks_and_language_are_part_of_the_plan() -> None:
    outline = (
        "/Lang(en-GB)/Outlines<</First 12 0 R/Last 12 0 R/Count 1>>"  # object 12 does not exist
    )
    plan = inspected(drawn_pdf([shown(72, 700, "text")], catalogue_entries=outline), "a.pdf")
    assert plan.language == "en-GB"
    assert plan.outline == ()


def test_a_stamp_on_a_scan_does_not_pass_for_its_text() -> None:
    scan = "q 595 0 0 842 0 0 cm /X1 Do Q"
    hidden = "\n".join(f"3 Tr {shown(72, 700 - 12 * row, PROSE)} 0 Tr" for row in range(9))
    stamp = shown(300, 20, "Received 12 May 1301 at the county court")
    plan = inspected(drawn_pdf([f"{scan} {stamp}", f"{scan} {hidden} {stamp}"]), "a.pdf")
    assert [page.source for page in plan.pages] == [PageSource.OCR, PageSource.OCR]
    assert plan.pages[1].reason == "a stamp over a picture with hidden text"


def test_text_over_a_picture_in_the_ground_stays_text() -> None:
    scan = "q 595 0 0 842 0 0 cm /X1 Do Q"
    body = "\n".join(shown(72, 700 - 12 * row, PROSE) for row in range(9))
    (page,) = inspected(drawn_pdf([f"{scan} {body}"]), "a.pdf").pages
    assert page.source is PageSource.TEXT


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (PROSE, None),
        ("Příliš žluťoučký kůň úpěl ďábelské ódy a všichni se tomu divili. " * 6, None),
        ("四方八方に文書が保管されている。" * 20, None),
        ("def f(x): return {k: v for k, v in x.items() if v != 3} # a_b=c; p->q " * 6, None),
        ('di!cult o"ce a#rm e$ect so%ware work with many other words of it ' * 6, "wrong letters"),
        ("Wkh txlfn eurzq ira mxpsv ryhu wkh odcb grj zlwk pdqb wklqjv " * 8, "wrong letters"),
        ("\ufffd\ue001\ue002 text \ue003\ue004 " * 20, "unreadable"),
        ("ab ba ab " * 80, "senseless"),
        (
            "(KUXQJ YRQ %HVWOHLVWXQJHQ IU GLH 6FKXWWHUZDOGHU\x0f )UHLWDJ\x0f \x16\x14\x11 -DQXDU "
            * 3,
            "wrong",
        ),
        ("The o\x0ece of the di\x0ecult \x0brst \x0coor, e\x0bective and su\x0ecient. " * 3, None),
        ("̽ଋҨǥƹ ୡȥဎഁ ୡࣧҨဌʾ ဎಱೌ ܆ȥ৞ਮ Νফ੧੅ ͱʸฏ ʤҨй " * 2, "mixed scripts"),
        ("Die Länge λmax in μm und das Wort naïve, l'été, Zürich und ΔT stehen hier. " * 3, None),
        ("Договор\x01 аренды\x02 мельницы\x03 скреплён печатью аббатства. " * 6, None),
        ("私はPythonでWebサイトを作る。 한국어와 English를 섞어 쓴다. " * 4, None),
    ],
)
def test_texts_that_are_no_language_are_told(text: str, fault: str | None) -> None:
    found = fault_of(text)
    assert (found is None) if fault is None else (found is not None and fault in found)
