"""PDFs drawn by hand, one content stream a page: what no office program would write."""

from collections.abc import Sequence

HEBREW = "אבגדהוזחטיכלמנסעפצקרשת"
"""What the font F4 shows for the letters from `a` on."""

_TO_UNICODE = (
    "/CIDInit /ProcSet findresource begin 12 dict begin begincmap\n"
    "/CMapName /H def /CMapType 2 def 1 begincodespacerange <00> <FF> endcodespacerange\n"
    f"{len(HEBREW) + 1} beginbfchar\n<20> <0020>\n"
    + "\n".join(f"<{0x61 + index:02X}> <{ord(letter):04X}>" for index, letter in enumerate(HEBREW))
    + "\nendbfchar endcmap end end"
)


def drawn_pdf(
    streams: Sequence[str], *, page_entries: str = "", catalogue_entries: str = ""
) -> bytes:
    """A4 pages (595 × 842 points) with these content streams. Fonts: F1 Helvetica, F2 bold, F3
    Courier, F4 Hebrew, F5 oblique; picture X1, grey, one unit wide and high."""
    bodies = [
        f"<</Type/Catalog/Pages 2 0 R{catalogue_entries}>>",
        "",
        _stream(_TO_UNICODE),
        _font("Helvetica-Bold"),
        _font("Courier"),
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/ToUnicode 3 0 R>>",
        _font("Helvetica-Oblique"),
        _stream(
            "808080>",
            "/Type/XObject/Subtype/Image/Width 1/Height 1/ColorSpace/DeviceRGB"
            "/BitsPerComponent 8/Filter/ASCIIHexDecode",
        ),
    ]
    kids = []
    for stream in streams:
        number = len(bodies) + 1
        kids.append(f"{number} 0 R")
        bodies.append(
            f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents {number + 1} 0 R{page_entries}"
            f"/Resources<</Font<</F1 {_font('Helvetica')}/F2 4 0 R/F3 5 0 R/F4 6 0 R/F5 7 0 R>>"
            "/XObject<</X1 8 0 R>>>>>>"
        )
        bodies.append(_stream(stream))
    bodies[1] = f"<</Type/Pages/Kids[{' '.join(kids)}]/Count {len(kids)}>>"
    return _file(bodies)


def shown(x: float, y: float, text: str, *, font: str = "F1", size: float = 11) -> str:
    """Text with its baseline's start at a point, from the page's lower left corner."""
    return f"BT /{font} {size:g} Tf {x:g} {y:g} Td ({text}) Tj ET"


def ruled(x0: float, y0: float, x1: float, y1: float) -> str:
    """A thin line."""
    return f"0.5 w {x0:g} {y0:g} m {x1:g} {y1:g} l S"


def _font(name: str) -> str:
    return f"<</Type/Font/Subtype/Type1/BaseFont/{name}/Encoding/WinAnsiEncoding>>"


def _stream(content: str, entries: str = "") -> str:
    return f"<</Length {len(content)}{entries}>>\nstream\n{content}\nendstream"


def _file(bodies: Sequence[str]) -> bytes:
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
