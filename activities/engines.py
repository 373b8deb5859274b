"""The typed face of the sandboxed engines: what the activities call."""

import logging
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType

from activities.assemble.calls import AssembledDocument, AssembleRequest
from activities.inspect.calls import InspectRequest
from activities.programs.office import OfficeConverter
from activities.read.batch_reader import BatchReader
from activities.read.calls import ASSEMBLE_AT_ONCE_SECONDS, DigestRequest, PageDigests
from activities.read.collector import OnDocument, OnPage, PageCollector
from activities.read.ocr_engine import OcrChoice
from activities.sandbox import EngineCall, Limits, Sandbox
from activities.sandbox.limits import MEBIBYTE
from muniment.contracts.documents import DocumentPlan, PageBatch
from muniment.contracts.ocr import OcrEngineName
from muniment.contracts.read import FailedPage
from muniment.errors import ConfigurationError, DocumentError, EngineError

logger = logging.getLogger(__name__)

__all__ = [
    "ENGINE_VERSIONS",
    "PRELOAD",
    "DocumentEngines",
    "OnDocument",
    "OnPage",
]

PRELOAD = (
    "activities.inspect.engine",
    "activities.read.engine",
    "activities.read.digests",
    "activities.assemble.engine",
)
"""The modules that register these engines; a worker adds those of other stages to the list."""


_STAND_INS = {"onnxruntime": "onnxruntime-gpu"}
"""Distributions that hold the same modules: one is installed in place of the other."""


def _engine_version(own: int, *distributions: str) -> str:
    """Own version and those of the libraries: another version of either may read differently."""
    return "/".join([str(own), *(f"{name}-{library_version(name)}" for name in distributions)])


def library_version(distribution: str) -> str:
    """The version of the distribution or of what is installed in its place; PackageNotFoundError,
    with the name that was asked for, where neither is."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        if distribution not in _STAND_INS:
            raise
        return version(_STAND_INS[distribution])


ENGINE_VERSIONS: Mapping[str, str] = MappingProxyType(
    {
        "inspect": _engine_version(
            7,
            *("magika", "pypdfium2", "kreuzberg", "msoffcrypto-tool"),
            *("striprtf", "pillow", "lxml"),
        ),
        "read_text": _engine_version(
            9,
            *("docling-parse", "docling-slim", "lxml", "pdfplumber", "pypdfium2"),
            *(
                "kreuzberg",
                "firecrawl-anydoc",
                "cssselect2",
                "striprtf",
                "duckdb",
                "msoffcrypto-tool",
            ),
        ),
        "read_ocr": _engine_version(3, "rapidocr", "onnxruntime", "pypdfium2", "pillow"),
        "assemble": _engine_version(3, "docling-core", "docling-slim", "kreuzberg"),
    }
)
"""Version of each engine by name; part of every fingerprint of what the engine made. `read_ocr` is
that of the default OCR engine: `ocr_version` knows the others."""

_OCR_LIBRARIES = {
    OcrEngineName.RAPIDOCR_OPENVINO: ("rapidocr", "openvino", "pypdfium2", "pillow"),
    OcrEngineName.TESSERACT: ("tesserocr", "pypdfium2", "pillow"),
    OcrEngineName.SURYA: ("surya-ocr", "pypdfium2", "pillow"),
}
_OCR_NUMBERS = {OcrEngineName.RAPIDOCR_OPENVINO: 3}
"""As `read_ocr`'s of the default; those of the others are 2."""
NO_SURYA = "Surya was named, and none of its workers could read the pages."


def ocr_version(choice: OcrChoice) -> str:
    """The version of `read_ocr` by the chosen engine; ConfigurationError where it is absent."""
    if choice.engine is OcrEngineName.RAPIDOCR:
        return ENGINE_VERSIONS["read_ocr"]
    number = _OCR_NUMBERS.get(choice.engine, 2)
    try:
        found = f"{choice.engine}/" + _engine_version(number, *_OCR_LIBRARIES[choice.engine])
    except PackageNotFoundError as error:
        raise ConfigurationError(
            f"The OCR engine {choice.engine} was chosen and {error.name} is not installed.",
            remedy=f"Install muniment[{choice.engine.value.rpartition('-')[2]}].",
        ) from None
    if choice.engine is OcrEngineName.TESSERACT:
        return "/".join([found, *choice.languages])
    return f"{found}/{choice.model}" if choice.engine is OcrEngineName.SURYA else found


OCR_CPU_SECONDS_PER_PAGE = 90
"""A dense A4 page takes 3–5 s on one core; a page of the largest size allowed several times that,
and a page that lies on its side twice that again."""
WALL_PER_CPU_SECOND = 4
"""On a machine with more work than processors the clock runs so much faster than the work."""


def _limits(cpu_seconds: int, memory_mebibytes: int) -> Limits:
    return Limits(
        wall_seconds=WALL_PER_CPU_SECOND * cpu_seconds,
        cpu_seconds=cpu_seconds,
        memory_bytes=memory_mebibytes * MEBIBYTE,
    )


INSPECT_LIMITS = _limits(60, 1536)
TEXT_LIMITS = _limits(300 + ASSEMBLE_AT_ONCE_SECONDS, 2048)
DIGEST_LIMITS = _limits(60, 1024)
"""A page takes 5 ms, and reading anew what takes longer than this is no great loss."""
ASSEMBLE_LIMITS = _limits(300, 4096)


def _ocr_limits(page_count: int) -> Limits:
    return _limits(30 + OCR_CPU_SECONDS_PER_PAGE * page_count, 2048)


class DocumentEngines:
    """Every method takes `content` as a plaintext file that the caller keeps until it returns, or
    as bytes; runs in a process of its own; and raises a DocumentError when the document is at
    fault, an EngineError when the engine is. Cancelling the awaiting task ends the process."""

    def __init__(
        self,
        sandbox: Sandbox,
        ocr: OcrChoice | None = None,
        converter: OfficeConverter | None = None,
        read_again_by: str = "",
    ) -> None:
        """`read_again_by` is the version of what reads pages once more that these are unsure of
        (`SecondOcr`): what is kept of a page depends on it as well."""
        self._sandbox = sandbox
        self._converter = converter
        self._ocr = ocr or OcrChoice()
        self._ocr_version = "+".join(filter(None, (ocr_version(self._ocr), read_again_by)))

    def with_ocr(self, name: OcrEngineName | None) -> "DocumentEngines":
        """These engines, with that OCR engine and no other, unless it is None or the one they have;
        ConfigurationError where it is not installed, or is Surya, which only workers that were made
        for it ask."""
        if name is None or name is self._ocr.engine:
            return self
        if name is OcrEngineName.SURYA:
            raise ConfigurationError(
                NO_SURYA,
                remedy="Start a worker of muniment-ocr-gpu with MUNIMENT_OCR__ENGINE=surya, see that"
                " its server answers, and reprocess again; or name another engine.",
            )
        choice = self._ocr.model_copy(update={"engine": name})
        return DocumentEngines(self._sandbox, choice, self._converter)

    def version(self, engine: str) -> str:
        """The engine's version, `read_ocr`'s by the OCR engine that is chosen here."""
        if engine == "read_ocr":
            return self._ocr_version
        if engine == "inspect" and self._converter is not None and self._converter.version:
            return f"{ENGINE_VERSIONS[engine]}/{self._converter.version}"
        return ENGINE_VERSIONS[engine]

    async def inspect(
        self,
        content: Path | bytes,
        *,
        declared_media_type: str,
        name: str,
        password: str | None = None,
    ) -> DocumentPlan:
        """What the document really is and how each of its pages is to be read; of one that
        LibreOffice could convert, how the libraries alone would read it (`plan_converted`)."""
        request = InspectRequest(
            declared_media_type=declared_media_type, name=name, password=password
        )
        return await self._inspect(content, request)

    def converts(self, plan: DocumentPlan) -> bool:
        """Whether LibreOffice is here and makes more of such documents than the libraries do."""
        return self._converter is not None and self._converter.takes(plan.media_type)

    async def plan_converted(
        self, content: Path | bytes, plan: DocumentPlan, *, name: str
    ) -> DocumentPlan:
        """How the document is to be read once it is converted; the plan as it was where that is
        beyond LibreOffice. Raises EngineError where another attempt may succeed."""
        try:
            converted, read_as = await self._convert(content, plan)
            request = InspectRequest(declared_media_type=read_as, name=name)
            found = await self._inspect(converted, request)
        except DocumentError as error:
            # What the libraries make of it is less, and something.
            logger.warning("a document was not converted", extra={"reason": error.problem})
            return plan
        # What it says of itself is as the original has it, not as LibreOffice fills it in.
        kept = ("media_type", "title", "authors", "created", "language")
        return found.model_copy(update={**plan.model_dump(include=set(kept)), "read_as": read_as})

    async def _inspect(self, content: Path | bytes, request: InspectRequest) -> DocumentPlan:
        call = EngineCall("inspect", request, DocumentPlan)
        return await self._sandbox.run(call, content=content, limits=INSPECT_LIMITS)

    async def read_text(
        self,
        content: Path | bytes,
        plan: DocumentPlan,
        pages: Sequence[int],
        password: str | None = None,
        on_page: OnPage | None = None,
        on_document: OnDocument | None = None,
    ) -> tuple[PageBatch, tuple[FailedPage, ...]]:
        """Pages by their text layer; a structured format is read whole, whatever `pages` says, and
        brings its own document along. Where `pages` are all of the document, `on_document` is given
        what `assemble` would make of them, unless that did not work out at once."""
        reading = PageCollector(on_page, on_document)
        await self._read("read_text", content, plan, pages, password, reading, TEXT_LIMITS)
        return reading.result()

    async def read_ocr(
        self,
        content: Path | bytes,
        plan: DocumentPlan,
        pages: Sequence[int],
        password: str | None = None,
        on_page: OnPage | None = None,
    ) -> tuple[PageBatch, tuple[FailedPage, ...]]:
        """Pages by optical character recognition. A page that fails is among the failed ones; the
        rest is read all the same."""
        reading = PageCollector(on_page)
        limits = _ocr_limits(len(pages))
        await self._read("read_ocr", content, plan, pages, password, reading, limits)
        return reading.result()

    async def digest_pages(self, content: Path | bytes, password: str | None = None) -> PageDigests:
        """What tells equal pages of two PDFs; an empty digest for a page that cannot be copied."""
        call = EngineCall("digest_pages", DigestRequest(password=password), PageDigests)
        return await self._sandbox.run(call, content=content, limits=DIGEST_LIMITS)

    async def assemble(
        self, plan: DocumentPlan, batches: Sequence[PageBatch | bytes], *, name: str
    ) -> AssembledDocument:
        """One DoclingDocument of all pages. Batches may be given as the JSON that they are
        kept as, which spares this process reading thousands of pages."""
        content = b"\n".join(
            batch if isinstance(batch, bytes) else batch.model_dump_json().encode()
            for batch in batches
        )
        request = AssembleRequest(plan=plan, name=name)
        return await self._sandbox.run(
            EngineCall("assemble", request, AssembledDocument),
            content=content,
            limits=ASSEMBLE_LIMITS,
        )

    async def _convert(self, content: Path | bytes, plan: DocumentPlan) -> tuple[bytes, str]:
        if self._converter is None or not self._converter.takes(plan.media_type):
            raise EngineError(
                "The document is read as LibreOffice converts it, which is not here any more.",
                remedy="Reprocess the file, or give every worker LibreOffice.",
            )
        return await self._converter.converted(content, plan.media_type)

    async def _read(
        self,
        engine: str,
        content: Path | bytes,
        plan: DocumentPlan,
        pages: Sequence[int],
        password: str | None,
        reading: PageCollector,
        limits: Limits,
    ) -> None:
        if plan.read_as is not None:
            content, _ = await self._convert(content, plan)
        reader = BatchReader(
            sandbox=self._sandbox,
            engine=engine,
            content=content,
            plan=plan,
            password=password,
            ocr=self._ocr,
            limits=limits,
            collected=reading,
        )
        await reader.read(pages)
