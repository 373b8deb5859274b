"""Settings: environment variables `MUNIMENT_<GROUP>__<NAME>`, read once by a composition root.

Only api/, worker/, deploy/, the migrations and the command line read settings; everything below
them is given plain arguments.
"""

from muniment.settings.admission import AdmissionSettings
from muniment.settings.analytics import AnalyticsSettings
from muniment.settings.audit import AuditCopiesSettings, AuditSettings
from muniment.settings.cache import CacheSettings
from muniment.settings.connections import DatabaseSettings, TemporalSettings, TransportSettings
from muniment.settings.conversations import ConversationSettings
from muniment.settings.embedded import EmbeddedSettings
from muniment.settings.erasure import ErasureSettings
from muniment.settings.evaluation import EvaluationSettings
from muniment.settings.findings import FindingSettings
from muniment.settings.holds import HoldSettings
from muniment.settings.identity import OidcSettings
from muniment.settings.keys import KeyProviderSettings, KeySettings
from muniment.settings.lexical import LexicalSettings
from muniment.settings.limits import QuotaSettings, RateLimitSettings
from muniment.settings.loading import Settings, load_settings
from muniment.settings.models import LanguageModel, ModelSettings
from muniment.settings.reading import (
    EmbeddingSettings,
    OcrSettings,
    ProgramSettings,
    RaySettings,
    ReadSettings,
    ScanSettings,
    ShadowSettings,
    SuryaSettings,
)
from muniment.settings.rerank import RerankSettings
from muniment.settings.retention import RetentionSettings
from muniment.settings.service import (
    ApiSettings,
    ImportSettings,
    ImportSource,
    IntegritySettings,
    LimitSettings,
    SharingSettings,
    SignInSettings,
    TelemetrySettings,
    WebhookSettings,
    WorkerSettings,
)
from muniment.settings.stores import ColdStoreSettings, ObjectSettings
from muniment.settings.tasks import TaskSettings

__all__ = [
    "AdmissionSettings",
    "AnalyticsSettings",
    "ApiSettings",
    "AuditCopiesSettings",
    "AuditSettings",
    "CacheSettings",
    "ColdStoreSettings",
    "ConversationSettings",
    "DatabaseSettings",
    "EmbeddedSettings",
    "EmbeddingSettings",
    "ErasureSettings",
    "EvaluationSettings",
    "FindingSettings",
    "HoldSettings",
    "ImportSettings",
    "ImportSource",
    "IntegritySettings",
    "KeyProviderSettings",
    "KeySettings",
    "LanguageModel",
    "LexicalSettings",
    "LimitSettings",
    "ModelSettings",
    "ObjectSettings",
    "OcrSettings",
    "OidcSettings",
    "ProgramSettings",
    "QuotaSettings",
    "RateLimitSettings",
    "RaySettings",
    "ReadSettings",
    "RerankSettings",
    "RetentionSettings",
    "ScanSettings",
    "Settings",
    "ShadowSettings",
    "SharingSettings",
    "SignInSettings",
    "SuryaSettings",
    "TaskSettings",
    "TelemetrySettings",
    "TemporalSettings",
    "TransportSettings",
    "WebhookSettings",
    "WorkerSettings",
    "load_settings",
]
