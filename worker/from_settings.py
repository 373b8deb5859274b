"""What the activities are told, by what the settings say."""

from datetime import timedelta

from activities.compare.intent import ShadowPolicy
from activities.integrity.activity import IntegrityPolicy
from activities.scan.policy import Course, ScanPolicy
from activities.tiers.activity import MovePolicy
from db.queries.tier_policies import ColdPolicy
from muniment.contracts.compare_reading import ReadingCandidate
from muniment.contracts.ocr import OcrEngineName
from muniment.contracts.pdf_pipeline import PdfPipelineName
from muniment.egress import Egress, EgressPolicy, Resolver, tls_context
from muniment.errors import ConfigurationError
from muniment.settings import (
    ColdStoreSettings,
    IntegritySettings,
    ScanSettings,
    Settings,
    WebhookSettings,
)


def reading_candidate(settings: Settings) -> ReadingCandidate:
    """What is to be tried in shadow, without that which the workers were set to anyway."""
    shadow = settings.shadow
    engine = None if shadow.ocr_engine == settings.ocr.engine else shadow.ocr_engine
    pipeline = None if shadow.pdf_pipeline == settings.read.pdf_pipeline else shadow.pdf_pipeline
    return ReadingCandidate(
        ocr_engine=OcrEngineName(engine) if engine else None,
        pdf_pipeline=PdfPipelineName(pipeline) if pipeline else None,
    )


def shadow_policy(settings: Settings) -> ShadowPolicy | None:
    """None where no candidate is set, or it is what the workers read with anyway."""
    candidate, shadow = reading_candidate(settings), settings.shadow
    if candidate == ReadingCandidate():
        return None
    return ShadowPolicy(
        candidate,
        shadow.share,
        tuple(name.strip() for name in shadow.tenants.split(",")),
        shadow.max_open,
        shadow.max_pages,
    )


def webhook_egress(settings: WebhookSettings, resolver: Resolver) -> Egress:
    policy = EgressPolicy(frozenset(settings.ports), settings.allowed_networks, settings.allow_http)
    try:
        tls = tls_context(settings.ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigurationError(
            "MUNIMENT_WEBHOOKS__CA_FILE is no PEM file of certificates"
        ) from error
    return Egress(
        policy,
        tls,
        resolver,
        connect_seconds=settings.connect_timeout_seconds,
        total_seconds=settings.timeout_seconds,
    )


def scan_policy(settings: ScanSettings) -> ScanPolicy:
    return ScanPolicy(
        max_bytes=settings.max_bytes,
        max_database_age=timedelta(hours=settings.max_database_age_hours),
        required=settings.required,
        unscannable=Course(settings.unscannable),
        archives_by_members=settings.archives_by_members,
    )


def integrity_policy(settings: IntegritySettings) -> IntegrityPolicy:
    hours = settings.interval_hours or 24.0  # without a schedule a run that is asked for is a day's
    return IntegrityPolicy(
        share=min(1.0, hours / 24 / settings.rotation_days),
        max_bytes_per_run=settings.max_bytes_per_run,
        bytes_per_second=settings.bytes_per_second,
        kept=timedelta(days=settings.keep_days),
    )


def move_policy(settings: ColdStoreSettings) -> MovePolicy:
    cold = ColdPolicy.after(settings.after_days, settings.min_bytes, settings.collections)
    return MovePolicy(cold, timedelta(hours=settings.grace_hours), settings.bytes_per_second)
