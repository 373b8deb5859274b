"""What Rich Text hides is told, and read by nobody; what it shows stays."""

from pathlib import Path

import pytest

from activities.assemble.export import document_text
from activities.inspect import file_type
from activities.read.provenance import settle_provenance
from activities.read.structured import convert
from activities.read.unseen_in_documents import take_out_unseen
from activities.read.unseen_in_rich_text import take_out_unseen_rich_text
from muniment.contracts.documents import DocumentFamily
from tests.activities.made_documents import in_memory

_HEAD = (
    rb"{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0\fcharset0 Times;}{\f1\fcharset238 Times CE;}}"
    rb"{\colortbl;\red0\green0\blue0;\red255\green255\blue255;}"
    rb"{\stylesheet{\s0 Normal;}{\s1\v\fs2 Ghost;}}{\info{\author Keeper}}"
)


def rich_text(body: bytes) -> bytes:
    return _HEAD + rb"\pard\plain\fs24 Before. " + body + rb" After.\par}"


def read(data: bytes) -> tuple[str, list[str]]:
    document = convert(in_memory(data), file_type.RTF.media_type)
    settle_provenance(document, DocumentFamily.TEXT)
    hidden = take_out_unseen(document)
    return " ".join(document_text(document, 1).split()), [found.text for found in hidden[1]]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (rb"{\v never shown}", ["never shown"]),
        (rb"\v never \b shown\b0\v0", ["never shown"]),
        (rb"{\v {\plain\v never} {\i shown}}", ["never shown"]),
        (rb"{\fs2 too small}", ["too small"]),
        (rb"{\cf2 white}", ["white"]),
        (rb"{\v one}{\webhidden two}\par{\v three}", ["onetwo", "three"]),
        (rb"{\v\f1 \'e8l\'e1nek \u8364?}", ["článek €"]),
        (rb"{\v not {\footnote\pard a note} much}", ["not much"]),
        (rb"{\pict\bin6 {\v\v\v}{\v after a picture}", ["after a picture"]),
    ],
)
def test_text_that_nobody_sees_is_taken_out(body: bytes, told: list[str]) -> None:
    assert read(rich_text(body)) == ("Before. After.", told)


@pytest.mark.parametrize(
    "body",
    [
        rb"{\v\v0 Shown.}",
        rb"{\v\plain Shown.}",
        rb"{\v0 Shown.}",
        rb"{\viewkind4\vertalt Shown.}",
        rb"{\cf1 Shown.}",
        rb"{\highlight1\cf2 Shown.}",
        rb"{\chcbpat1\cf2 Shown.}",
        rb"{\cbpat1\cf2 Shown.}",
    ],
)
def test_text_that_is_shown_stays(body: bytes) -> None:
    assert read(rich_text(body)) == ("Before. Shown. After.", [])


def test_white_text_in_a_table_stays() -> None:
    row = rb"\par\trowd\clcbpat1\cellx2000\intbl\cf2 Head\cell\row\pard\cf0"
    text, told = read(rich_text(row))
    assert (text, told) == ("Before. Head After.", [])


def test_a_document_that_hides_nothing_keeps_its_bytes(shared_data: Path) -> None:
    path = shared_data / "documents/rtf/testRTFWord2010CzechCharacters.rtf"
    data = path.read_bytes()
    assert take_out_unseen_rich_text(data) == (data, [])
