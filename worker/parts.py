"""The parts that activities are made of, each built when a queue first needs it."""

import logging
import os
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from activities.anchors.activity import ENGINE_MODULE as ANCHORS_ENGINE
from activities.anchors.activity import Anchors
from activities.artifacts import Artifacts
from activities.assemble.activity import Assemble
from activities.batch.activity import Batches
from activities.batch.imports import ImportLimits, Imports
from activities.chunk.activity import ENGINE_MODULE as CHUNK_ENGINE
from activities.chunk.activity import ChunkDocument
from activities.classify.activity import ENGINE_MODULE as CLASSIFY_ENGINE
from activities.classify.activity import Classify
from activities.compare.activity import ENGINE_MODULE as COMPARE_ENGINE
from activities.compare.activity import Compare
from activities.compare.intent import Shadow
from activities.embed.activity import Embed
from activities.embed.vectors import ChunkVectors
from activities.engines import PRELOAD, DocumentEngines, ocr_version
from activities.inspect.activity import Inspect
from activities.inspect.route import OcrRoute
from activities.integrity.activity import Integrity
from activities.key_rotation.activity import KeyRotations
from activities.lexical_index.activity import LexicalIndex
from activities.lifecycle.activity import Lifecycle
from activities.members.activity import ENGINE_MODULE as MEMBERS_ENGINE
from activities.members.activity import Members
from activities.ocr_service.reader import OcrService, RemoteOcr
from activities.programs import ConfinedPrograms
from activities.programs.office import OfficeConverter
from activities.publish.activity import Publish
from activities.read.activity import Read
from activities.read.docling_weights import (
    ARTIFACTS_VARIABLE,
    pipeline_version,
    require_docling_models,
)
from activities.read.ocr_engine import OcrChoice
from activities.read.rasterise import ENGINE_MODULE as RASTER_ENGINE
from activities.read.structures import ENGINE_MODULE as DOCLING_ENGINE
from activities.read.structures import DoclingPipeline, PdfPipelines
from activities.read.unsure_pages import OcrReader, SecondOcr
from activities.reindex.activity import Reindexing
from activities.sandbox import Sandbox
from activities.sandbox.template import TORCH_VARIABLE
from activities.sandbox.tier import active_tier
from activities.scan.activity import Scan
from activities.scratch import Scratch
from activities.stage import StageRunner
from activities.standing_back import in_background
from activities.tiers.activity import Tiers
from activities.uploads.activity import UploadExpiry
from activities.views.activity import ENGINE_MODULE as VIEWS_ENGINE
from activities.views.activity import RenderView
from activities.webhooks.activity import Webhooks
from activities.webhooks.places import Places
from db.queries.quotas import Quota
from db.session import Database
from muniment.connections import open_scanner
from muniment.contracts import queues
from muniment.contracts.ocr import OcrEngineName
from muniment.contracts.pdf_pipeline import PdfPipelineName
from muniment.contracts.worker_identity import PROGRAM_SANDBOX
from muniment.egress import SystemResolver
from muniment.embedding import Embedder, default_model_directory
from muniment.errors import ConfigurationError
from muniment.objects import SealedTexts
from muniment.settings import Settings
from muniment.stores import Stores, open_import_sources
from worker.attending import attending_activities
from worker.auditing import open_audit_sealing
from worker.connecting import patiently
from worker.erasing import open_erasure
from worker.evaluating import AskingParts
from worker.from_settings import (
    integrity_policy,
    move_policy,
    scan_policy,
    shadow_policy,
    webhook_egress,
)
from worker.ocr_cluster import OcrCluster, require_ray
from worker.subjects import subject_activities
from worker.surya_server import SuryaServer

logger = logging.getLogger(__name__)

ActivityFunction = Callable[..., Any]  # what Worker itself takes


def starts_ray(settings: Settings, queue_names: Sequence[str]) -> bool:
    """Whether a worker of the queues starts a Ray of its own: one of the GPU queue joins no cluster, and
    has no Surya server to ask."""
    uses_surya = OcrEngineName(settings.ocr.engine) is OcrEngineName.SURYA
    return queues.OCR_GPU in queue_names and settings.ray.address is None and not uses_surya


class Parts:
    """Activities by queue. `resources` ends what was started, when the worker ends."""

    def __init__(
        self, settings: Settings, database: Database, stores: Stores, resources: AsyncExitStack
    ) -> None:
        self._settings = settings
        self._database = database
        self._stores = stores
        self._resources = resources
        self._needs_sandbox = False
        self._needs_embedder = False
        self.remote_ocr: OcrCluster | SuryaServer | None = None

    def io_activities(self) -> Sequence[ActivityFunction]:
        publish = Publish(self.runner, self._stores.keys, self.texts, self.chunk_vectors)
        lifecycle = Lifecycle(self._database, self.runner, self.shadow)
        erasure = open_erasure(self._settings, self._database, self._stores)
        batches = Batches(self._database)
        rotations = KeyRotations(
            self._database,
            self._stores.blobs,
            self._stores.keys,
            timedelta(hours=self._settings.keys.retire_after_hours),
        )
        sources = open_import_sources(self._settings)
        for source in sources.values():
            self._resources.push_async_callback(source.close)
        imports = Imports(
            self._database,
            self.artifacts,
            self._stores.blobs,
            sources,
            ImportLimits(
                self._settings.imports.max_objects,
                self._settings.api.max_upload_bytes,
                self._default_quota,
            ),
        )
        return [
            batches.admit_files,
            batches.watch_jobs,
            batches.record_batch,
            imports.list_objects,
            imports.take_in_objects,
            publish.publish_version,
            self.members.admit_member,
            lifecycle.announce_version,
            lifecycle.record_progress,
            lifecycle.read_decision,
            self.compare.plan_comparison,
            self.compare.withdraw_comparison,
            erasure.plan_erasure,
            erasure.erase_from_store,
            erasure.destroy_unreferenced_keys,
            erasure.hold_erasure,
            erasure.finish_erasure,
            *attending_activities(self._settings, self._database),
            self.integrity.begin_verification,
            self.integrity.end_verification,
            self.tiers.plan_moves,
            UploadExpiry(self._database, self._stores.blobs).expire_uploads,
            LexicalIndex(self._database).merge_postings,
            open_audit_sealing(self._settings, self._database, self._resources).seal_audit,
            *subject_activities(self._database, self._stores, self.texts),
            *self.asking.begin_and_end_activities(),
            self.webhooks.record_attempt,
            rotations.begin_key_rotation,
            rotations.rewrap_keys,
            rotations.finish_key_rotation,
            rotations.end_key_rotation,
            self.reindexing.end_reindex,
        ]

    def verify_activities(self) -> Sequence[ActivityFunction]:
        return [
            *(self.integrity.verify_batch, self.tiers.move_batch),
            self.reindexing.evaluate_index,
        ]

    @cached_property
    def integrity(self) -> Integrity:
        policy = integrity_policy(self._settings.integrity)
        return Integrity(self._database, self._stores.blobs, policy, self._stores.tiers)

    @cached_property
    def tiers(self) -> Tiers:
        policy = move_policy(self._settings.cold_store)
        return Tiers(self._database, self._stores.tiers, policy)

    def deliver_activities(self) -> Sequence[ActivityFunction]:
        return [self.webhooks.send_webhook]

    @property
    def deliver_slots(self) -> int:
        return self._settings.webhooks.slots

    @cached_property
    def webhooks(self) -> Webhooks:
        settings = self._settings.webhooks
        resolver = SystemResolver(settings.slots)
        self._resources.callback(resolver.close)
        egress = webhook_egress(settings, resolver)
        # Half of them: however slow the endpoints of a tenant are, others have the rest.
        places = Places(settings.slots_per_endpoint, max(1, settings.slots // 2))
        return Webhooks(self._database, self._stores.blobs, egress, places)

    def scan_activities(self) -> Sequence[ActivityFunction]:
        settings = self._settings.scan
        address = settings.socket
        scanner = open_scanner(address, settings, settings.timeout_seconds) if address else None
        scan = Scan(self.runner, self._stores.blobs, scanner, scan_policy(settings))
        return [scan.scan_for_malware]

    def parse_activities(self) -> Sequence[ActivityFunction]:
        self._needs_sandbox = True
        max_pages = self._settings.limits.max_pages
        inspect = Inspect(
            self.runner,
            self.engines,
            self.scratch,
            max_pages,
            self.ocr_route,
            self._default_quota,
        )
        assemble = Assemble(self.runner, self.engines)
        finding = self._settings.findings
        classify = Classify(self.runner, self.sandbox, finding.review_days, finding.recognisers)
        views = RenderView(self._database, self.artifacts, self.sandbox, self.scratch)
        return [
            inspect.inspect_document,
            self.members.unpack_members,
            *self.read_activities(),
            assemble.assemble_document,
            classify.classify_content,
            self.chunker.chunk_document,
            self.compare.compare_readings,
            Anchors(self._database, self.artifacts, self.texts, self.sandbox).anchor_annotations,
            views.render_view,
            views.render_pictures,
        ]

    def read_activities(self) -> Sequence[ActivityFunction]:
        self._needs_sandbox = True
        ocr = self._with_second_ocr(self.engines)
        read = Read(self.runner, self.engines, self.scratch, ocr, self.pipelines)
        return [read.read_pages]

    @property
    def ocr_route(self) -> OcrRoute:
        """Never the GPU queue where another engine than its workers' was chosen."""
        settings = self._settings.ocr
        engine = OcrEngineName(settings.engine)
        return OcrRoute(settings.gpu_queue, settings.gpu_wait_seconds, engine)

    @property
    def gpu_slots(self) -> int:
        """Batches at a time: as many as pages are in flight, since a batch may be a single page."""
        if self._uses_surya:
            return self._settings.surya.concurrency
        return self._settings.ray.replicas * self._settings.ray.max_ongoing_requests

    def gpu_activities(self) -> Sequence[ActivityFunction]:
        """The same activity as on the CPU queue; only who recognises its pages is another: a Surya
        server where that engine was chosen, else replicas of RapidOCR on Ray."""
        self._needs_sandbox = True
        if self._uses_surya:
            server = self.remote_ocr = SuryaServer(self._settings.surya)
            return [self.remote_read(server, server.slots, self.surya_choice).read_pages]
        require_ray()
        cluster = self.remote_ocr = OcrCluster(self._settings.ray)
        return [self.remote_read(cluster, cluster.slots).read_pages]

    def remote_read(self, service: OcrService, slots: int, choice: OcrChoice | None = None) -> Read:
        """Reads scanned pages by a service of so many slots, which is of that choice. Replicas run
        RapidOCR, whatever the CPU queue's engine is: pages must be kept under the version of the
        engine that read them."""
        engines = DocumentEngines(self.sandbox, choice, self.converter, self._second_ocr_version)
        ocr = self._with_second_ocr(RemoteOcr(self.sandbox, service, slots))
        return Read(self.runner, engines, self.scratch, ocr, self.pipelines)

    @property
    def surya_choice(self) -> OcrChoice:
        return OcrChoice(engine=OcrEngineName.SURYA, model=self._settings.surya.model)

    def embed_activities(self) -> Sequence[ActivityFunction]:
        self._needs_embedder = True
        embed = Embed(self.runner, self.chunk_vectors, self._stores.keys)
        return [embed.embed_chunks, self.reindexing.fill_index]

    @cached_property
    def chunk_vectors(self) -> ChunkVectors:
        return ChunkVectors(self.runner, self.embedder)

    @cached_property
    def reindexing(self) -> Reindexing:
        kept_for = timedelta(hours=self._settings.embedding.keep_former_hours)
        return Reindexing(self._database, self.embedder, self.texts, kept_for)

    def evaluate_activities(self) -> Sequence[ActivityFunction]:
        self._needs_embedder = True
        asking = self.asking
        return [asking.evaluations.evaluate_questions, asking.question_lists.answer_questions]

    @cached_property
    def asking(self) -> AskingParts:
        return AskingParts(
            self._settings, self._database, self.embedder, self._stores.blobs, self._resources
        )

    async def sandbox_tier(self) -> tuple[str, ...]:
        """What confines the parsers here, and external programs; empty where nothing is parsed."""
        if not self._needs_sandbox:
            return ()
        programs = (PROGRAM_SANDBOX,) if await self.programs.works() else ()
        return (*await active_tier(), *programs)

    async def start(self) -> None:
        """Starts what the queues need. The sandbox goes on loading its engines while the worker
        polls; an activity that comes before it is done waits for it."""
        if self._needs_sandbox:
            await self._resources.enter_async_context(self.sandbox)
            self._resources.enter_context(self.scratch)
            self._warn_of_little_memory()
            await self.converter.start()
            if (docling := self.pipelines.docling) is not None:
                await self._resources.enter_async_context(docling.sandbox)
                if self.pipelines.own is PdfPipelineName.DOCLING:
                    await docling.sandbox.ready()
        if self.remote_ocr is not None:
            entering = partial(self._open_remote_ocr, self.remote_ocr)
            await patiently("the OCR service", entering)
        if self._needs_embedder:
            # Its own threads stand back as the one does that starts them.
            await in_background(self.embedder.load)

    def _warn_of_little_memory(self) -> None:
        largest, uploads = self.scratch.largest_file, self._settings.api.max_upload_bytes
        if largest is not None and largest < uploads:
            logger.warning(
                "larger files wait for memory to be opened in: enlarge /dev/shm, or set"
                " MUNIMENT_WORKER__SCRATCH_OVERFLOW",
                extra={"largest_bytes": largest, "max_upload_bytes": uploads},
            )

    async def _open_remote_ocr(self, service: OcrCluster | SuryaServer) -> None:
        await self._resources.enter_async_context(service)

    @property
    def _uses_surya(self) -> bool:
        return OcrEngineName(self._settings.ocr.engine) is OcrEngineName.SURYA

    @cached_property
    def runner(self) -> StageRunner:
        return StageRunner(self._database, self.artifacts)

    @cached_property
    def artifacts(self) -> Artifacts:
        return Artifacts(self._database, self._stores.blobs)

    @cached_property
    def texts(self) -> SealedTexts:
        return SealedTexts(self._stores.blobs)

    @cached_property
    def members(self) -> Members:
        return Members(
            self.runner, self._stores.blobs, self.sandbox, self.scratch, self._default_quota
        )

    @property
    def _default_quota(self) -> Quota:
        return Quota(**self._settings.quotas.model_dump())

    @cached_property
    def compare(self) -> Compare:
        return Compare(self.runner, self.sandbox, on_gpu_alone=self._uses_surya)

    @property
    def shadow(self) -> Shadow | None:
        policy = shadow_policy(self._settings)
        return Shadow(policy) if policy is not None else None

    @cached_property
    def chunker(self) -> ChunkDocument:
        return ChunkDocument(self.runner, self.sandbox, self._stores.keys)

    @cached_property
    def engines(self) -> DocumentEngines:
        """Those of the sandbox: where Surya was chosen, RapidOCR stands in for it there."""
        choice = self._ocr_choice(self._engine_on_cpu)
        return DocumentEngines(self.sandbox, choice, self.converter, self._second_ocr_version)

    @property
    def _engine_on_cpu(self) -> OcrEngineName:
        return (
            OcrEngineName.RAPIDOCR if self._uses_surya else OcrEngineName(self._settings.ocr.engine)
        )

    def _ocr_choice(self, name: OcrEngineName) -> OcrChoice:
        settings = self._settings.ocr
        data = settings.tesseract_data
        return OcrChoice(
            engine=name,
            languages=tuple(settings.tesseract_languages.split("+")),
            data=str(data) if data else None,
        )

    @property
    def _second_choice(self) -> OcrChoice | None:
        """None too where it is the first already: a page is not read twice by one engine."""
        name = self._settings.ocr.second_engine
        is_other = name is not None and OcrEngineName(name) is not self._engine_on_cpu
        return self._ocr_choice(OcrEngineName(name)) if name is not None and is_other else None

    @property
    def _second_ocr_version(self) -> str:
        choice = self._second_choice
        below = self._settings.ocr.second_below
        return "" if choice is None else f"{ocr_version(choice)}<{below}"

    def _with_second_ocr(self, first: OcrReader) -> OcrReader:
        """Pages that the first is unsure of are read again by the engine that is set for that."""
        choice = self._second_choice
        if choice is None:
            return first
        second = DocumentEngines(self.sandbox, choice, self.converter)
        return SecondOcr(first, second, self._settings.ocr.second_below)

    @cached_property
    def programs(self) -> ConfinedPrograms:
        # Calls that have stood aside hold places here too.
        slots = self._settings.worker.cpu_slots or os.cpu_count() or 1
        return ConfinedPrograms(concurrency=2 * slots)

    @cached_property
    def converter(self) -> OfficeConverter:
        return OfficeConverter(
            self.programs, self._settings.programs.soffice, self._private_folders()
        )

    def _private_folders(self) -> tuple[Path, ...]:
        """What no external program may see; the embedded stack's home lies above its keys."""
        settings = self._settings
        imported = (source.folder for source in settings.imports.sources)
        return (
            Path(os.path.expanduser("~")),
            settings.keys.root,
            settings.objects.root,
            *self.scratch.roots,
            *(folder for folder in (settings.cold_store.root, *imported) if folder is not None),
        )

    @cached_property
    def pipelines(self) -> PdfPipelines:
        """docling's has a sandbox of its own, which starts at the first call where these workers were
        set to rules; ConfigurationError where it was chosen for all and is not there with its
        weights."""
        settings = self._settings.read
        own = PdfPipelineName(settings.pdf_pipeline)
        try:
            artifacts = require_docling_models(settings.docling_artifacts).resolve()
        except ConfigurationError as error:
            if own is PdfPipelineName.DOCLING:
                raise
            return PdfPipelines(own, lacking=error.detail)
        slots = self._settings.worker.cpu_slots or os.cpu_count() or 1
        sandbox = Sandbox(
            concurrency=slots,
            preload=[DOCLING_ENGINE],
            environment={ARTIFACTS_VARIABLE: str(artifacts), TORCH_VARIABLE: "1"},
            at_need=own is not PdfPipelineName.DOCLING,
        )
        return PdfPipelines(own, DoclingPipeline(sandbox, pipeline_version(artifacts)))

    @cached_property
    def scratch(self) -> Scratch:
        settings = self._settings.worker
        return Scratch(self._stores.blobs, settings.scratch, settings.scratch_overflow)

    @cached_property
    def sandbox(self) -> Sandbox:
        """As many calls as the parse and OCR queues have at work together, parsing's that stand aside
        among them: text never waits behind pages of OCR for a place, only for its share of the cores."""
        slots = self._settings.worker.cpu_slots or os.cpu_count() or 1
        preload = [
            *(*PRELOAD, RASTER_ENGINE, CLASSIFY_ENGINE, CHUNK_ENGINE),
            *(VIEWS_ENGINE, MEMBERS_ENGINE, COMPARE_ENGINE, ANCHORS_ENGINE),
        ]
        return Sandbox(concurrency=3 * slots, preload=preload)

    @cached_property
    def embedder(self) -> Embedder:
        settings = self._settings.embedding
        return Embedder(settings.model_directory or default_model_directory(), settings.threads)
