"""Word documents that hold what docling's own backend loses or dies of."""

import zipfile
from io import BytesIO

from activities.assemble.export import document_markdown, document_text
from activities.inspect import file_type
from activities.read.structured import convert
from tests.activities.made_documents import in_memory, word_document

_RUN = "<w:r><w:t xml:space='preserve'>{}</w:t></w:r>"
_CHANGE = "<w:{0} w:id='{1}' w:author='keeper' w:date='2026-01-01T00:00:00Z'>{2}</w:{0}>"
_DELETED = "<w:r><w:delText>by candle</w:delText></w:r>"
_LINK = "<w:hyperlink w:anchor='here'>{}</w:hyperlink>"


def with_paragraph(inner: str, before: str = "") -> bytes:
    """The sample document with one more paragraph at its beginning."""
    changed = BytesIO()
    with zipfile.ZipFile(BytesIO(word_document())) as source, zipfile.ZipFile(changed, "w") as to:
        for name in source.namelist():
            content = source.read(name)
            if name == "word/document.xml":
                paragraph = f"<w:body>{before}<w:p>{inner}</w:p>".encode()
                content = content.replace(b"<w:body>", paragraph, 1)
            to.writestr(name, content)
    return changed.getvalue()


def test_tracked_changes_are_read() -> None:
    inner = (
        _RUN.format("Letters are read ")
        + _CHANGE.format("ins", 1, _RUN.format("by lamp"))
        + _CHANGE.format("del", 2, _DELETED)
        + _CHANGE.format("moveFrom", 3, _RUN.format("twice moved"))
        + _CHANGE.format("moveTo", 4, _RUN.format(" at night"))
    )
    document = convert(in_memory(with_paragraph(inner)), file_type.DOCX.media_type)
    markdown = document_markdown(document)
    assert "by lamp" in markdown
    assert "~~by candle~~" in markdown, "what was deleted is shown as such"
    assert "at night" in markdown
    assert "twice moved" not in markdown


def test_an_xml_comment_between_paragraphs_is_passed_over() -> None:
    data = with_paragraph(_RUN.format("After a comment."), before="<!-- made by a machine -->")
    text = document_text(convert(in_memory(data), file_type.DOCX.media_type))
    assert text.startswith("After a comment.")
    assert "muniment room" in text


def test_a_sentence_with_a_link_stays_one_line_of_text() -> None:
    inner = _RUN.format("Ask the ") + _LINK.format(_RUN.format("keeper")) + _RUN.format(", always.")
    text = document_text(convert(in_memory(with_paragraph(inner)), file_type.DOCX.media_type))
    assert text.splitlines()[0] == "Ask the keeper, always."
