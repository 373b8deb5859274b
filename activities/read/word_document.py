"""Word documents through docling's backend, with what it stumbles over mended before."""

from docling.backend.msword_backend import MsWordDocumentBackend
from docling_core.types.doc.document import DoclingDocument
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from lxml import etree

from activities.read.unseen_in_documents import add_unseen
from activities.read.unseen_in_word import take_out_unseen_runs

_CHANGES = (qn("w:ins"), qn("w:moveTo"), qn("w:del"))


class WordDocumentBackend(MsWordDocumentBackend):
    """docling's backend dies of XML comments, leaves out what tracked changes hold, and says nothing
    of hidden runs that it leaves out.

    What was inserted is text like any other; what was deleted, and not yet accepted as deleted,
    still stands in the file and is shown struck through; what was moved stands where it went.
    """

    def convert(self) -> DoclingDocument:
        body = self.docx_obj.element.body
        for run in body.findall(f".//{qn('w:del')}/{qn('w:r')}"):
            _strike(run)
        etree.strip_elements(body, qn("w:moveFrom"), with_tail=False)
        etree.strip_tags(body, etree.Comment, etree.ProcessingInstruction, *_CHANGES)
        unseen = take_out_unseen_runs(self.docx_obj)
        document: DoclingDocument = super().convert()
        add_unseen(document, unseen)
        return document


def _strike(run: etree._Element) -> None:
    """Makes a deleted run one that is shown."""
    for deleted in run.findall(qn("w:delText")):
        deleted.tag = qn("w:t")
    properties = run.find(qn("w:rPr"))
    if properties is None:
        properties = OxmlElement("w:rPr")
        run.insert(0, properties)
    properties.append(OxmlElement("w:strike"))
