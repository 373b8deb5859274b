"""Hostile documents: what swells, nests, repeats or reaches out."""

import base64
import io
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import duckdb
import openpyxl

from tests.activities.test_hostile_files import (
    MEBIBYTE,
    billion_laughs,
    pdf_of,
    png,
    stream,
    with_part,
)
from tests.chaos.archive_bombs import deflated

GIBIBYTE = 1024 * MEBIBYTE
HONEST = b"An honest letter about the lighthouse."


def workbook() -> bytes:
    book = openpyxl.Workbook()
    book.active["A1"] = "An honest cell"
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def sheet(body: str, dimension: str = "A1:XFD1048576") -> bytes:
    space = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    xml = (
        f'<?xml version="1.0"?><worksheet xmlns="{space}"><dimension ref="{dimension}"/>'
        f"<sheetData>{body}</sheetData></worksheet>"
    )
    return with_part(workbook(), "xl/worksheets/sheet1.xml", xml.encode())


def sheet_with_a_far_corner() -> bytes:
    """Two cells, 17,179,869,184 apart."""
    near = '<row r="1"><c r="A1" t="inlineStr"><is><t>near</t></is></c></row>'
    far = '<row r="1048576"><c r="XFD1048576" t="inlineStr"><is><t>far</t></is></c></row>'
    return sheet(near + far)


def sheet_of_many_cells() -> bytes:
    row = "".join(f'<c t="n"><v>{column}</v></c>' for column in range(100))
    return sheet(f"<row>{row}</row>" * 20_000, "A1:CV20000")


def sheet_merged_whole() -> bytes:
    body = '<row r="1"><c r="A1" t="inlineStr"><is><t>one</t></is></c></row></sheetData>'
    body += '<mergeCells count="1"><mergeCell ref="A1:XFD1048576"/></mergeCells><sheetData>'
    return sheet(body)


def open_document(media_type: str, content: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("mimetype"), media_type)
        archive.writestr("content.xml", content)
        archive.writestr(
            "META-INF/manifest.xml",
            '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">'
            f'<manifest:file-entry manifest:full-path="/" manifest:media-type="{media_type}"/>'
            '<manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml"/>'
            "</manifest:manifest>",
        )
    return out.getvalue()


def repeated_cells_ods() -> bytes:
    """One cell, said to be repeated over the whole sheet, a thousand times."""
    spaces = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
        for name in ("office", "table", "text")
    )
    row = (
        '<table:table-row table:number-rows-repeated="1048576"><table:table-cell'
        ' table:number-columns-repeated="16384" office:value-type="string">'
        "<text:p>again</text:p></table:table-cell></table:table-row>"
    )
    return open_document(
        "application/vnd.oasis.opendocument.spreadsheet",
        f'<?xml version="1.0"?><office:document-content {spaces} office:version="1.2"><office:body>'
        f'<office:spreadsheet><table:table table:name="a">{row * 1000}</table:table>'
        "</office:spreadsheet></office:body></office:document-content>",
    )


def repeated_spaces_odt() -> bytes:
    """A paragraph of a space that counts for two thousand millions."""
    spaces = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
        for name in ("office", "text")
    )
    return open_document(
        "application/vnd.oasis.opendocument.text",
        f'<?xml version="1.0"?><office:document-content {spaces} office:version="1.2"><office:body>'
        '<office:text><text:p>wide<text:s text:c="2000000000"/>gap</text:p></office:text>'
        "</office:body></office:document-content>",
    )


def epub(chapter: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("mimetype"), "application/epub+zip")
        archive.writestr(
            "META-INF/container.xml",
            '<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
            '<rootfiles><rootfile full-path="a.opf" media-type="application/oebps-package+xml"/>'
            "</rootfiles></container>",
        )
        archive.writestr(
            "a.opf",
            '<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="i">'
            '<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>A</dc:title>'
            '<dc:identifier id="i">a</dc:identifier><dc:language>en</dc:language></metadata>'
            '<manifest><item id="c" href="c.xhtml" media-type="application/xhtml+xml"/></manifest>'
            '<spine><itemref idref="c"/></spine></package>',
        )
        archive.writestr("c.xhtml", chapter)
    return out.getvalue()


def epub_of_entities() -> bytes:
    declared = billion_laughs().replace("w:document", "html")
    return epub(
        f'<?xml version="1.0"?>{declared}<html xmlns="http://www.w3.org/1999/xhtml"><body>'
        "<p>&a11;</p></body></html>"
    )


def svg_of_entities() -> bytes:
    declared = billion_laughs().replace("w:document", "svg")
    uses = "".join(
        f'<g id="g{number}">{f"""<use href="#g{number - 1}"/>""" * 10}</g>'
        for number in range(1, 12)
    )
    return (
        f'<?xml version="1.0"?>{declared}<svg xmlns="http://www.w3.org/2000/svg" width="1e9"'
        f' height="1e9"><g id="g0"><text>&a11;</text></g>{uses}<use href="#g11"/></svg>'
    ).encode()


def word_with_svg() -> bytes:
    from tests.activities.made_documents import word_document

    return with_part(word_document(), "word/media/image1.svg", svg_of_entities())


def page_with_svg() -> bytes:
    data = base64.b64encode(svg_of_entities()).decode()
    inner = svg_of_entities().decode().partition("]>")[2]
    image = f'<img src="data:image/svg+xml;base64,{data}">'
    return f"<html><body><p>An honest line.</p>{inner}{image}</body></html>".encode()


# ── PDF and images ──────────────────────────────────────────────────────────────────────────────


def pdf_of_a_million_pages() -> bytes:
    """One empty page, named a million times."""
    return pdf_of(
        [
            b"<</Type/Catalog/Pages 2 0 R>>",
            b"<</Type/Pages/Count 1000000/Kids[" + b"3 0 R " * 1_000_000 + b"]>>",
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>",
        ]
    )


def pdf_of_one_huge_picture(pages: int = 100) -> bytes:
    """Pages that all show the same 20,000 by 20,000 pixels."""
    side = 20_000
    picture = stream(
        deflated(side * side, b"\x7f"),
        b"/Type/XObject/Subtype/Image/Width %d/Height %d/ColorSpace/DeviceGray"
        b"/BitsPerComponent 8/Filter/FlateDecode" % (side, side),
    )
    page = (
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R"
        b"/Resources<</XObject<</I 5 0 R>>>>>>"
    )
    return pdf_of(
        [
            b"<</Type/Catalog/Pages 2 0 R>>",
            b"<</Type/Pages/Count %d/Kids[%s]>>" % (pages, b"3 0 R " * pages),
            page,
            stream(b"595 0 0 842 0 0 cm /I Do"),
            picture,
        ]
    )


def pdf_of_deep_outline() -> bytes:
    """Bookmarks that lie below one another, the last of them above the first."""
    depth = 20_000
    bodies = [
        b"<</Type/Catalog/Pages 2 0 R/Outlines 4 0 R>>",
        b"<</Type/Pages/Count 1/Kids[3 0 R]>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>",
        b"<</Type/Outlines/First 5 0 R/Last 5 0 R/Count 1>>",
    ]
    bodies += [
        b"<</Title(a)/Parent %d 0 R/First %d 0 R/Last %d 0 R/Count 1/Dest[3 0 R/Fit]>>"
        % (number - 1, number + 1, number + 1)
        for number in range(5, 5 + depth)
    ]
    bodies.append(b"<</Title(z)/Parent %d 0 R/First 5 0 R/Next 5 0 R>>" % (4 + depth))
    return pdf_of(bodies)


def pdf_of_deep_arrays() -> bytes:
    nested = b"[" * 500_000 + b"]" * 500_000
    return pdf_of(
        [
            b"<</Type/Catalog/Pages 2 0 R/Names " + nested + b">>",
            b"<</Type/Pages/Count 1/Kids[3 0 R]>>",
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>",
        ]
    )


def png_with_swelling(kind: bytes) -> bytes:
    """An honest image whose profile or comment unpacks to a GiB."""
    image = png(64, 64, rows=64)
    data = (b"a\0\0" if kind in (b"iCCP", b"zTXt") else b"a\0\1\0\0\0") + deflated(GIBIBYTE)
    chunk = struct.pack(">I", len(data)) + kind + data
    chunk += struct.pack(">I", zlib.crc32(kind + data))
    end_of_header = 8 + 25
    return image[:end_of_header] + chunk + image[end_of_header:]


def tiff_of_frames(count: int) -> bytes:
    """So many frames of one pixel each, of which every one is really there."""
    tags = ((256, 3, 1, 1), (257, 3, 1, 1), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1))
    tags += ((273, 4, 1, 8), (278, 3, 1, 1), (279, 4, 1, 1))
    size = 2 + 12 * len(tags) + 4
    table = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
    first = 16
    out = bytearray(b"II*\0" + struct.pack("<I", first) + bytes(8))
    for number in range(count):
        following = first + (number + 1) * size if number + 1 < count else 0
        out += table + struct.pack("<I", following)
    return bytes(out)


# ── text, mail, tables ──────────────────────────────────────────────────────────────────────────


def deep_mail() -> bytes:
    """Multiparts within multiparts."""
    head = b"From: a@example.org\nTo: b@example.org\nSubject: deep\nMIME-Version: 1.0\n"
    depth = 5_000
    opening = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (number, number)
        for number in range(depth)
    )
    return head + opening + b"Content-Type: text/plain\n\ndeepest\n"


def mails_in_mails() -> bytes:
    inner = b"From: a@example.org\nSubject: innermost\n\nAn honest line.\n"
    for number in range(300):
        inner = (
            b"From: a@example.org\nSubject: %d\nMIME-Version: 1.0\nContent-Type: message/rfc822\n\n"
            % number
        ) + inner
    return inner


def mail_with_attachments(count: int) -> bytes:
    def parts() -> Iterator[bytes]:
        yield b"From: a@example.org\nSubject: many\nMIME-Version: 1.0\n"
        yield b"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nmany\n"
        for number in range(count):
            yield b'--b\nContent-Disposition: attachment; filename="%d.txt"\n\nno. %d\n' % (
                number,
                number,
            )
        yield b"--b--\n"

    return b"".join(parts())


def swelling_parquet() -> bytes:
    """Twenty million rows of a thousand equal characters, packed."""
    return _parquet("SELECT repeat('swell', 200) AS a FROM range(20_000_000)")


def lying_parquet() -> bytes:
    """A footer that counts a hundred times as many rows as there are."""
    rows = 1_100_000
    data = bytearray(_parquet("SELECT range AS a FROM range(1_100_000)"))
    size = struct.unpack("<I", data[-8:-4])[0]
    footer = bytes(data[-8 - size : -8])
    lie = footer.replace(_varint(2 * rows), _varint(2 * 130_000_000))
    assert lie != footer
    data[-8 - size : -8] = lie
    return bytes(data)


def _parquet(query: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.parquet"
        with duckdb.connect(config={"threads": 2}) as database:
            database.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet, COMPRESSION zstd)")
        return path.read_bytes()


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def entities_squared() -> bytes:
    """One long entity, used many times: under every limit of depth."""
    return (
        f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "{"x" * 100_000}">]><a>{"&x;" * 50_000}</a>'
    ).encode()


def remote_entities() -> bytes:
    return (
        b'<?xml version="1.0"?><!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd" ['
        b'<!ENTITY % remote SYSTEM "http://127.0.0.1:9/b.dtd"> %remote;'
        b'<!ENTITY file SYSTEM "file:///etc/passwd">]><a>&file;</a>'
    )
