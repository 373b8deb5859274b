"""JSON, JSON Lines, notebooks and XML as readable structure."""

import json
from pathlib import Path

import pytest
from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.items.code import CodeItem
from docling_core.types.doc.labels import DocItemLabel

from activities.assemble.export import document_markdown, document_text
from activities.inspect import file_type
from activities.read.data_outline import MAXIMUM_VALUES
from activities.read.structured import convert
from muniment.errors import LimitExceeded
from tests.activities.made_documents import in_memory, inspected

CONFIGURATION = """{"service": "harbour", "ports": [80, 443], "pool": {"rate": 1.10, "note": null},
  "berths": [{"id": 1, "at": {"quay": "North"}}, {"id": 2, "at": {"quay": "South"}, "free": true}],
  "service": "quay"}"""
BOOK = """<book><info><title>The Harbour</title></info><chapter><title>Rules &amp; rates</title>
  <para>Ships <emphasis>pay</emphasis> at caf&eacute;.</para><para>So do barges.</para>
  <section><title>Fees</title><para>Ten a ton.</para></section>
  <section><title>Fines</title><para>Twenty.</para></section></chapter></book>"""
CATALOGUE = """<c:catalogue xmlns:c="urn:c"><c:owner>K. Vale</c:owner>
  <c:ship id="a"><c:name>Aurora</c:name><c:price currency="EUR">5</c:price></c:ship>
  <c:ship id="b"><c:name>Borea</c:name><c:price currency="SEK">7</c:price></c:ship></c:catalogue>"""
ARTICLE = """<article><front><article-meta><title-group><article-title>Of tides</article-title>
  </title-group><abstract><p>They turn.</p></abstract></article-meta></front>
  <body><sec><title>Methods</title><p>We waited.</p></sec></body></article>"""


def read(content: str | bytes, name: str) -> DoclingDocument:
    data = content.encode() if isinstance(content, str) else content
    return convert(in_memory(data), inspected(data, name).media_type)


def headings(document: DoclingDocument) -> list[str]:
    labels = (DocItemLabel.SECTION_HEADER, DocItemLabel.TITLE)
    return [item.text for item in document.texts if item.label in labels]


def rows(document: DoclingDocument, table: int = 0) -> list[list[str]]:
    return [[cell.text for cell in row] for row in document.tables[table].data.grid]


def test_members_are_lines_under_headings_and_records_a_table() -> None:
    document = read(CONFIGURATION, "a.json")
    assert headings(document) == ["pool", "berths"]
    first, pool = (item.text for item in document.texts if item.label == DocItemLabel.TEXT)
    assert first == "service: harbour\nports: 80, 443\nservice: quay"
    assert pool == "rate: 1.10\nnote: null"
    assert rows(document) == [["id", "at.quay", "free"], ["1", "North", ""], ["2", "South", "true"]]


@pytest.mark.parametrize("name", ["a.jsonl", "unnamed"])
def test_json_lines_are_records(name: str) -> None:
    lines = "\n".join(json.dumps({"ship": f"No {n}", "tons": n}) for n in range(1, 40))
    assert rows(read(lines + "\n", name))[:2] == [["ship", "tons"], ["No 1", "1"]]


@pytest.mark.parametrize(
    "text", ['{"a": 1,}', "[1, 2", '{"a": 1}\nnot json', "[" * 100_000, "1" * 5_000 + "]"]
)
def test_what_is_no_json_is_read_as_text(text: str) -> None:
    assert "".join(document_text(read(text, "a.json")).split()) == "".join(text.split())


def test_deep_and_large_json_is_bounded_and_loses_nothing() -> None:
    deep = '{"a":' * 200 + '"bottom"' + "}" * 200
    document = read(deep, "a.json")
    assert "bottom" in document_text(document)
    assert len(headings(document)) == 6
    large = json.dumps([{"a": n} for n in range(MAXIMUM_VALUES)])
    assert str(MAXIMUM_VALUES - 1) in document_text(read(large, "a.json"))


def test_halves_of_characters_are_kept_out() -> None:
    assert "�" in document_text(read(r'{"a": "\ud800 x", "\ud801": "\u0000y"}', "a.json"))


def test_a_notebook_is_its_cells(shared_data: Path) -> None:
    notebook = {
        "nbformat": 4,
        "metadata": {"language_info": {"name": "python"}},
        "cells": [
            {"cell_type": "markdown", "source": ["# Tides\n", "They *turn*.\n", "```\nopen"]},
            {"cell_type": "markdown", "source": "## Data"},
            {
                "cell_type": "code",
                "source": "print('```')",
                "outputs": [
                    {"output_type": "stream", "text": ["high\n", "water"]},
                    {"data": {"image/png": "iVBORw0KGgo=", "text/plain": "<Figure>"}},
                ],
            },
        ],
    }
    document = read(json.dumps(notebook), "a.ipynb")
    assert [item.text for item in document.texts if isinstance(item, CodeItem)] == [
        "# Tides\nThey *turn*.\n```\nopen",
        "print('```')",
        "high\nwater",
        "<Figure>",
    ]
    assert headings(document) == ["Data"]
    real = read((shared_data / "documents/other/simple.ipynb").read_bytes(), "b.ipynb")
    assert headings(real)
    assert any(isinstance(item, CodeItem) for item in real.texts)


def test_a_book_keeps_its_titles_and_sentences() -> None:
    document = read(f'<?xml version="1.0"?><!DOCTYPE book SYSTEM "docbook.dtd">{BOOK}', "a.xml")
    assert headings(document) == ["The Harbour", "Rules & rates", "Fees", "Fines"]
    assert "Ships pay at café." in document_text(document)
    assert not document.tables


def test_elements_of_one_shape_are_a_table() -> None:
    document = read(CATALOGUE, "a.xml")
    assert headings(document) == ["catalogue"]
    assert document.texts[1].text == "owner: K. Vale"
    assert rows(document) == [
        ["id", "name", "price", "price currency"],
        ["a", "Aurora", "5", "EUR"],
        ["b", "Borea", "7", "SEK"],
    ]


@pytest.mark.parametrize("doctype", ["", '<!DOCTYPE article SYSTEM "file:///etc/hostname">'])
def test_an_article_is_read_by_its_vocabulary(doctype: str) -> None:
    document = read(doctype + ARTICLE, "a.nxml")
    assert headings(document) == ["Of tides", "Abstract", "Methods"]
    assert "We waited." in document_markdown(document)


def test_real_files_keep_their_words(shared_data: Path) -> None:
    folder = shared_data / "documents" / "other"
    article = read((folder / "pone.0234687.nxml").read_bytes(), "a.nxml")
    assert len(headings(article)) > 10
    assert article.tables
    plants = read((folder / "plant_catalog.xml").read_bytes(), "a.xml")
    assert plants.tables[0].data.num_rows > 30
    earthquakes = read((folder / "earthquakes.geojson").read_bytes(), "a.geojson")
    assert "properties.mag" in rows(earthquakes)[0]


def test_a_table_larger_than_a_document_may_hold_is_refused_as_such() -> None:
    with pytest.raises(LimitExceeded, match="more than 1,000,000 cells") as refused:
        read("1,2,3,4,5,6,7,8,9,10\n" * 100_001, "a.csv")
    assert "Split" in str(refused.value.remedy)


def test_what_is_no_xml_is_read_as_text() -> None:
    assert document_text(read("<a><b>fish</a> &x;", "a.xml")).split() == ["<a><b>fish</a>", "&x;"]


def test_entities_are_neither_read_nor_multiplied(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the-secret")
    outside = f'<!DOCTYPE a [<!ENTITY x SYSTEM "file://{secret}"><!ENTITY y "inner">]>'
    text = document_text(read(f'{outside}<a b="&y;"><c>&x; and &y;</c><c>z</c></a>', "a.xml"))
    assert "the-secret" not in text
    assert "&x; and &y;" in text
    laughs = '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><a>&b;</a>'
    with pytest.raises(LimitExceeded, match="entities"):
        read(laughs, "a.xml")


def test_deep_xml_is_read() -> None:
    deep = "<a>" * 200 + "bottom" + "</a>" * 200
    deeper = "<a>" * 5_000 + "bottom" + "</a>" * 5_000
    for text in (deep, deeper):
        assert "bottom" in document_text(read(text, "a.xml"))


def test_the_kinds_are_known_by_content_and_name() -> None:
    assert inspected(b'{"a": 1}', "a.ndjson").media_type == file_type.JSON.media_type
    assert inspected(ARTICLE.encode(), "a.nxml").media_type == file_type.XML.media_type
