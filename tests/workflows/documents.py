"""Small documents for ingestions."""

import io
import re
from collections.abc import Sequence

import pypdfium2
from PIL import Image, ImageDraw, ImageFont

TEXT = (
    b"The muniment room of the borough was rebuilt in 1871.\n\n"
    b"Its charters are kept in an oak chest with three locks, and the town clerk holds one key.\n"
)


def text_pdf(pages: Sequence[str]) -> bytes:
    """A PDF with a page of A4 per text, set in Helvetica, a line per line."""
    bodies = ["<</Type/Catalog/Pages 2 0 R>>", ""]
    kids = []
    for page in pages:
        lines = "\n".join(
            f"BT /F1 12 Tf 72 {760 - 18 * number} Td ({line}) Tj ET"
            for number, line in enumerate(page.splitlines())
        )
        number = len(bodies) + 1
        kids.append(f"{number} 0 R")
        bodies.append(
            f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents {number + 1} 0 R"
            "/Resources<</Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>>>"
        )
        bodies.append(f"<</Length {len(lines)}>>\nstream\n{lines}\nendstream")
    bodies[1] = f"<</Type/Pages/Kids[{' '.join(kids)}]/Count {len(kids)}>>"
    out = bytearray(b"%PDF-1.7\n")
    offsets = []
    for number, body in enumerate(bodies, start=1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode("latin-1")
    start = len(out)
    entries = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    out += f"xref\n0 {len(bodies) + 1}\n0000000000 65535 f \n{entries}".encode()
    out += f"trailer<</Size {len(bodies) + 1}/Root 1 0 R>>\nstartxref\n{start}\n%%EOF\n".encode()
    return bytes(out)


def page_text(number: int) -> str:
    """Text enough for a page that counts as readable."""
    return "\n".join(
        f"Page {number}, line {line}: the lease of the mill is registered under number {number}{line}."
        for line in range(1, 9)
    )


def scanned_pdf(pages: Sequence[str], width: int = 420, height: int = 180) -> bytes:
    """A PDF of pictures only, at 100 dpi, a line of the text per line; small ones are read fast."""
    images = []
    for page in pages:
        image = Image.new("L", (width, height), "white")
        draw = ImageDraw.Draw(image)
        for number, line in enumerate(page.splitlines()):
            draw.text((20, 20 + 40 * number), line, "black", ImageFont.load_default(24))
        images.append(image)
    out = io.BytesIO()
    images[0].save(out, "PDF", save_all=True, append_images=images[1:], resolution=100)
    return out.getvalue()


def dense_scan(page_count: int) -> bytes:
    """Pages of A4 full of text, seconds of OCR each."""
    text = "\n".join(f"Line {line} of the charter of the borough" for line in range(26))
    return scanned_pdf([text] * page_count, width=827, height=1169)


def long_pdf(pages: int, scanned: frozenset[int] = frozenset(), torn: int | None = None) -> bytes:
    """Pages of text, some of them pictures of it, and one that is no page at all."""
    document = pypdfium2.PdfDocument(text_pdf([page_text(page) for page in range(1, pages + 1)]))
    for page in sorted(scanned):
        picture = pypdfium2.PdfDocument(scanned_pdf([f"Page {page} of the scan\nis a picture"]))
        document.del_page(page - 1)
        document.import_pages(picture, index=page - 1)
        picture.close()
    out = io.BytesIO()
    document.save(out)
    document.close()
    return out.getvalue() if torn is None else _torn(out.getvalue(), torn)


def _torn(content: bytes, page: int) -> bytes:
    """The same with an object that is no page in the page's place; nothing moves."""
    kids = re.search(rb"/Kids\s*\[([^\]]*)\]", content)
    assert kids is not None
    number = kids[1].split()[3 * (page - 1)].decode()
    begin = re.search(rf"(?m)^{number} 0 obj".encode(), content)
    assert begin is not None
    end = content.index(b"endobj", begin.end())
    filler = b" null ".ljust(end - begin.end())
    return content[: begin.end()] + filler + content[end:]
