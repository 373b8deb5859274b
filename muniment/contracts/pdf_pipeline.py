"""What finds the structure of PDFs and images, as settings, jobs and clients name it."""

from enum import StrEnum


class PdfPipelineName(StrEnum):
    """`RULES` are our own and always there; `DOCLING` is docling's pipeline, whose libraries and weights
    a worker may lack."""

    RULES = "rules"
    DOCLING = "docling"
