"""The engine `structure_pages`: pages through docling's own pipeline, with its layout model and
TableFormer.

It runs in a sandbox of its own, whose template loads torch and the weights once. Nothing of them is
loaded by the sandbox that all else runs in.
"""

import os
from functools import cache
from pathlib import Path

from docling.datamodel.accelerator_options import AcceleratorDevice, AcceleratorOptions
from docling.datamodel.base_models import ConversionStatus, InputFormat
from docling.datamodel.document import InputDocument
from docling.datamodel.pipeline_options import ThreadedPdfPipelineOptions
from docling.pipeline.standard_pdf_pipeline import StandardPdfPipeline
from docling_core.types.doc.base import BoundingBox
from docling_core.types.doc.common.reference import ProvenanceItem
from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.labels import DocItemLabel

from activities.read.damage import damage
from activities.read.docling_backend import PageStream, ReadPageDocument
from activities.read.docling_weights import ARTIFACTS_VARIABLE
from activities.read.page_image import PageImage, page_images
from activities.read.structure_calls import (
    StructureOutcome,
    StructureProgress,
    StructureRequest,
)
from activities.sandbox.registry import EngineContext, engine, warm
from muniment.contracts.documents import Page, PageStructure
from muniment.contracts.read import FailedPage
from muniment.errors import DocumentError


@engine("structure_pages")
def structure_pages(request: StructureRequest, context: EngineContext) -> StructureOutcome:
    """Each page as a document of its own. A page of which docling makes none fails alone."""
    with page_images(context.content, request.family, request.password) as images:
        for page in request.pages:
            try:
                with damage("The page is damaged beyond drawing."):
                    image = images.image(page.page)
                document = _structured(page, image)
            except DocumentError as error:
                progress = StructureProgress(
                    failed=FailedPage(page=page.page, problem=error.detail)
                )
            else:
                made = PageStructure(page=page.page, document=document.model_dump_json())
                progress = StructureProgress(structure=made)
            context.report(progress)
    return StructureOutcome()


@warm
def load_models() -> None:
    """The layout model and TableFormer, for every child to find."""
    _pipeline()


@cache
def _pipeline() -> StandardPdfPipeline:
    """OCR has been done, where it was needed; the file itself is not opened by docling."""
    _be_still()
    return StandardPdfPipeline(
        ThreadedPdfPipelineOptions(
            artifacts_path=Path(os.environ[ARTIFACTS_VARIABLE]),
            do_ocr=False,
            accelerator_options=AcceleratorOptions(num_threads=1, device=AcceleratorDevice.CPU),
        )
    )


def _be_still() -> None:
    """Progress bars and loading in parallel leave threads behind, and the template must have one."""
    from tqdm import tqdm
    from transformers.utils import logging

    tqdm.monitor_interval = 0
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers' own


def _structured(page: Page, image: PageImage) -> DoclingDocument:
    given = InputDocument(
        path_or_stream=PageStream(page, image),
        format=InputFormat.PDF,
        backend=ReadPageDocument,
        filename="page.pdf",
    )
    result = _pipeline().execute(given, raises_on_error=False)
    if result.status is not ConversionStatus.SUCCESS:
        raise DocumentError("docling's pipeline made no structure of the page.")
    document: DoclingDocument = result.document
    nowhere = BoundingBox(l=0, t=0, r=0, b=0)
    for line in page.lines:
        if line.bbox is None:
            place = ProvenanceItem(page_no=1, bbox=nowhere, charspan=(0, len(line.text)))
            document.add_text(label=DocItemLabel.TEXT, text=line.text, prov=place)
    return document
