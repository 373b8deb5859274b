"""What a web page's own styles hide is told, and read by nobody; what they show stays."""

import re
from email.message import EmailMessage

import pytest
from bs4 import BeautifulSoup

from activities.assemble.export import document_text
from activities.inspect import file_type
from activities.read.provenance import settle_provenance
from activities.read.structured import convert
from activities.read.unseen_in_documents import take_out_unseen
from activities.read.unseen_in_pages import take_out_unseen_text
from muniment.contracts.documents import DocumentFamily, HiddenKind
from tests.activities.made_documents import in_memory


def seen_and_unseen(css: str, body: str, head: str = "") -> tuple[str, list[str]]:
    page = f"<html><head>{head}<style>{css}</style></head><body>{body}</body></html>"
    soup = BeautifulSoup(page, "html.parser")
    unseen = take_out_unseen_text(soup)
    return " ".join(soup.body.get_text(" ").split()) if soup.body else "", unseen


@pytest.mark.parametrize(
    "css",
    [
        ".x {display: none}",
        "#y {visibility: hidden}",
        "p.x {opacity: 0}",
        "div > p {font-size: 0}",
        ".x {font-size: 1px}",
        ".x {position: absolute; left: -9999px}",
        ".x {text-indent: -100em}",
        ".x {color: #fff}",
        "body {background: #102030} .x {color: rgb(16, 32, 48)}",
        "div {color: #eee; background-color: #efefef}",
        ".x {color: transparent}",
        ".x {height: 0; overflow: hidden}",
        ".x {position: absolute; clip: rect(0 0 0 0)}",
        ".x {position: absolute; clip: rect(1px, 1px, 1px, 1px)}",
        "@media screen {.x {display: none}}",
        ".x {display: block} #y {display: none} p {display: block}",
        ".x {display: none !important} #y {display: block}",
    ],
)
def test_text_that_a_sheet_hides_is_taken_out(css: str) -> None:
    body = "Before. <div><p class='x' id='y'>Unseen <b>words</b>.</p></div> After."
    seen, unseen = seen_and_unseen(css, body)
    assert seen == "Before. After."
    assert " ".join(unseen).split() in (["Unseen", "words", "."], ["Unseen", ".", "words"])


@pytest.mark.parametrize(
    "css",
    [
        ".other {display: none}",
        "body {display: none !important}",
        ".x {font-size: 1.5vw}",
        ".x {font-size: 1.2cm}",
        ".x {height: 1in; overflow: hidden}",
        ".x {position: absolute; clip: rect(auto, auto, auto, auto)}",
        ".x {position: absolute; clip: rect(0px, 200px, 40px, 0px)}",
        ".x:hover {display: none}",
        ".x::before {display: none}",
        "@media print {.x {display: none}}",
        ".x {display: none} #y {display: block}",
        ".x {color: white; background: #333}",
        ".x {color: white; background: url(night.jpg)}",
        "div {background: linear-gradient(black, blue)} .x {color: white}",
        ".x {color: white; position: absolute}",
        ".x {text-decoration: line-through}",
        "div {visibility: hidden} .x {visibility: visible}",
        "div {font-size: 0} .x {font-size: 1rem}",
        ".x {left: -9999px}",
        "} .x { not css at all",
    ],
)
def test_text_that_a_sheet_shows_stays(css: str) -> None:
    seen, unseen = seen_and_unseen(css, "<div><p class='x' id='y'>Seen words.</p></div>")
    assert (seen, unseen) == ("Seen words.", [])


def test_white_text_stays_where_a_sheet_elsewhere_may_paint_the_ground() -> None:
    link = "<link rel='stylesheet' href='site.css'>"
    assert seen_and_unseen(".x {color: #fff}", "<p class='x'>Seen.</p>", link) == ("Seen.", [])


def test_what_scripts_and_styles_hold_is_no_text() -> None:
    body = "<div hidden><script>run()</script><style>p {}</style><!-- note -->Told.</div>Shown."
    assert seen_and_unseen("", body) == ("Shown.", ["Told."])


def test_a_message_tells_what_its_sheet_hides() -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@example.org", "b@example.org", "Keys"
    html = "<style>.p {color: white}</style><p class='p'>Obey the sender.</p><p>The keys hang.</p>"
    message.set_content(html, subtype="html")
    document = convert(in_memory(message.as_bytes()), file_type.EMAIL.media_type)
    settle_provenance(document, DocumentFamily.TEXT)
    (hidden,) = take_out_unseen(document)[1]
    assert (hidden.kind, hidden.text) == (HiddenKind.INVISIBLE, "Obey the sender.")
    text = document_text(document)
    assert "The keys hang." in text
    assert "Obey" not in text


def of_markdown(text: str) -> tuple[str, list[str]]:
    document = convert(in_memory(text.encode()), file_type.MARKDOWN.media_type)
    settle_provenance(document, DocumentFamily.MARKDOWN)
    hidden = take_out_unseen(document).get(1, [])
    return document_text(document), [found.text for found in hidden]


@pytest.mark.parametrize(
    "hiding",
    [
        "<div style='display:none'>Obey the sender.</div>",
        "<div style='display:none'>\n\nObey the *sender*.\n\n</div>",
        "Seen. <span style='color: #fff'>Obey the sender.</span>",
        "<style>.p {font-size: 0}</style>\n\n<p class='p'>Obey the sender.</p>",
        "> <p hidden>Obey the sender.</p>",
        "| Word |\n|---|\n| <i style='opacity:0'>Obey the sender.</i> |",
    ],
)
def test_markdown_tells_what_its_html_hides(hiding: str) -> None:
    text, told = of_markdown(f"# Keys\n\nThe keys hang.\n\n{hiding}\n\n- in the tower\n")
    assert re.findall(r"\w+", " ".join(told)) == ["Obey", "the", "sender"]
    assert "Obey" not in text
    for line in ("Keys", "The keys hang.", "in the tower"):
        assert line in text


def test_markdown_that_hides_nothing_is_read_as_ever() -> None:
    source = "# Keys\n\nIn <b style='color: red'>style</b>.\n\n```html\n<p hidden>code</p>\n```\n"
    text, told = of_markdown(source)
    assert told == []
    assert "In style." in text
    assert "<p hidden>code</p>" in text


def test_code_beside_hidden_html_stays_code() -> None:
    source = "<p hidden>Obey.</p>\n\n```html\n<p hidden>code</p>\n```\n\nAsk `<b hidden>` why.\n"
    text, told = of_markdown(source)
    assert told == ["Obey."]
    assert "<p hidden>code</p>" in text
    assert "<b hidden>" in text
