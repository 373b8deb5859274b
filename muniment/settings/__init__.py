"""Settings: environment variables `MUNIMENT_<GROUP>__<NAME>`, read once by a composition root.

Only api/, worker/, deploy/, the migrations and the command line read settings; everything below
them is given plain arguments.
"""

from muniment.settings.identity import OidcSettings
from muniment.settings.loading import Settings, load_settings
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
from muniment.settings.service import (
    ApiSettings,
    DatabaseSettings,
    ImportSettings,
    ImportSource,
    IntegritySettings,
    KeySettings,
    LimitSettings,
    ObjectSettings,
    SharingSettings,
    SignInSettings,
    TelemetrySettings,
    TemporalSettings,
    WebhookSettings,
    WorkerSettings,
)

__all__ = [
    "ApiSettings",
    "DatabaseSettings",
    "EmbeddingSettings",
    "ImportSettings",
    "ImportSource",
    "IntegritySettings",
    "KeySettings",
    "LimitSettings",
    "ObjectSettings",
    "OcrSettings",
    "OidcSettings",
    "ProgramSettings",
    "RaySettings",
    "ReadSettings",
    "ScanSettings",
    "Settings",
    "ShadowSettings",
    "SharingSettings",
    "SignInSettings",
    "SuryaSettings",
    "TelemetrySettings",
    "TemporalSettings",
    "WebhookSettings",
    "WorkerSettings",
    "load_settings",
]
