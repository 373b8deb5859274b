"""All settings together, read once from the environment."""

import os
from collections.abc import Mapping

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from muniment.errors import ConfigurationError
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
from muniment.settings.keys import KeySettings
from muniment.settings.lexical import LexicalSettings
from muniment.settings.limits import QuotaSettings, RateLimitSettings
from muniment.settings.models import ModelSettings
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

PREFIX = "MUNIMENT_"
DELIMITER = "__"


class Settings(BaseSettings):
    """All settings. Unknown variables with a double underscore are refused, not ignored."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=DELIMITER,
        frozen=True,
        extra="forbid",
    )

    api: ApiSettings = ApiSettings()
    sign_in: SignInSettings = SignInSettings()
    oidc: OidcSettings = OidcSettings()
    database: DatabaseSettings = DatabaseSettings()
    temporal: TemporalSettings = TemporalSettings()
    objects: ObjectSettings = ObjectSettings()
    cold_store: ColdStoreSettings = ColdStoreSettings()
    imports: ImportSettings = ImportSettings()
    keys: KeySettings = KeySettings()
    worker: WorkerSettings = WorkerSettings()
    scan: ScanSettings = ScanSettings()
    programs: ProgramSettings = ProgramSettings()
    ocr: OcrSettings = OcrSettings()
    shadow: ShadowSettings = ShadowSettings()
    read: ReadSettings = ReadSettings()
    ray: RaySettings = RaySettings()
    surya: SuryaSettings = SuryaSettings()
    embedding: EmbeddingSettings = EmbeddingSettings()
    embedded: EmbeddedSettings = EmbeddedSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    admission: AdmissionSettings = AdmissionSettings()
    analytics: AnalyticsSettings = AnalyticsSettings()
    audit: AuditSettings = AuditSettings()
    audit_copies: AuditCopiesSettings = AuditCopiesSettings()
    cache: CacheSettings = CacheSettings()
    conversations: ConversationSettings = ConversationSettings()
    findings: FindingSettings = FindingSettings()
    erasure: ErasureSettings = ErasureSettings()
    holds: HoldSettings = HoldSettings()
    tasks: TaskSettings = TaskSettings()
    lexical: LexicalSettings = LexicalSettings()
    rerank: RerankSettings = RerankSettings()
    retention: RetentionSettings = RetentionSettings()
    models: ModelSettings = ModelSettings()
    integrity: IntegritySettings = IntegritySettings()
    sharing: SharingSettings = SharingSettings()
    webhooks: WebhookSettings = WebhookSettings()
    limits: LimitSettings = LimitSettings()
    quotas: QuotaSettings = QuotaSettings()
    rate_limits: RateLimitSettings = RateLimitSettings()
    transport: TransportSettings = TransportSettings()
    telemetry: TelemetrySettings = TelemetrySettings()


def load_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Reads the environment once.

    Raises ConfigurationError naming the variable that is unknown or malformed, never its value.
    """
    known = {name for name, _ in variables()}
    unknown = sorted(
        name
        for name in environment
        if name.startswith(PREFIX) and DELIMITER in name and name not in known
    )
    if unknown:
        raise ConfigurationError(
            f"unknown setting {', '.join(unknown)}",
            remedy="Correct the name; docs/settings.md lists every setting.",
        )
    try:
        return Settings()
    except ValidationError as error:
        wrong = ", ".join(
            PREFIX + DELIMITER.join(str(part) for part in problem["loc"]).upper()
            for problem in error.errors(include_input=False)
        )
        raise ConfigurationError(f"malformed setting {wrong}") from None
    except SettingsError:
        # What it quotes could be a secret.
        raise ConfigurationError(
            "a setting that is a JSON list is none: MUNIMENT_IMPORTS__SOURCES,"
            " MUNIMENT_COLD_STORE__COLLECTIONS, MUNIMENT_MODELS__PROVIDERS, or one of"
            " MUNIMENT_WEBHOOKS__…",
            remedy="docs/settings.md says which hold one.",
        ) from None


def variables() -> list[tuple[str, str]]:
    """Every variable's name with its row of the table in docs/settings.md."""
    rows = []
    for group_name, group_field in Settings.model_fields.items():
        group = group_field.annotation
        if not (isinstance(group, type) and issubclass(group, BaseModel)):
            continue
        for name, field in group.model_fields.items():
            variable = f"{PREFIX}{group_name}{DELIMITER}{name}".upper()
            default = field.default
            if isinstance(default, SecretStr):
                default = default.get_secret_value()
            if isinstance(default, tuple):
                default = list(default)
            shown = "unset" if default in (None, []) else f"`{default}`"
            rows.append((variable, f"| `{variable}` | {shown} | {field.description} |"))
    return rows
