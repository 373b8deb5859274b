"""A service that Muniment needs does not answer."""

from muniment.errors.base import MunimentError


class DependencyUnavailable(MunimentError):
    problem = "dependency-unavailable"
    title = "A service that Muniment needs does not answer"
    status = 503
    retryable = True
    default_remedy = "Try again shortly; `muniment doctor` says what is down and how to mend it."


class ScannerUnavailable(DependencyUnavailable):
    problem = "scanner-unavailable"
    title = "The virus scanner does not answer"


class ObjectStoreUnavailable(DependencyUnavailable):
    problem = "object-store-unavailable"
    title = "The object store does not answer"


class StorageFull(ObjectStoreUnavailable):
    problem = "storage-full"
    title = "There is no space left"
    status = 507
    default_remedy = "Free space on that disk, or enlarge it; what waits for it goes on by itself."


class SourceUnavailable(DependencyUnavailable):
    problem = "source-unavailable"
    title = "The place that files are imported from does not answer"


class KeyManagementUnavailable(DependencyUnavailable):
    problem = "key-management-unavailable"
    title = "The key management does not answer"


class KeyStorageFull(KeyManagementUnavailable):
    problem = "key-storage-full"
    title = "There is no space left for keys"
    status = 507
    default_remedy = (
        "Free space on the disk of the folder of keys (MUNIMENT_KEYS__ROOT), or enlarge it; what waits for"
        " it goes on by itself."
    )


class DatabaseUnavailable(DependencyUnavailable):
    problem = "database-unavailable"
    title = "The database does not answer"


class DatabaseTooSlow(DatabaseUnavailable):
    problem = "database-too-slow"
    title = "The database took too long"


class DatabaseFull(DatabaseUnavailable):
    problem = "database-full"
    title = "The database has no space left"
    status = 507
    default_remedy = "Free space on PostgreSQL's disk, or enlarge it; what waits goes on by itself."


class ErasuresToRepeat(DependencyUnavailable):
    problem = "restoring"
    title = "The database was restored, and erasures are to be repeated first"
    default_remedy = (
        "Run `python -m db.replayed_erasures` on the server (docs/erasure.md); `muniment up` does it by"
        " itself."
    )


class OcrServiceUnavailable(DependencyUnavailable):
    problem = "ocr-service-unavailable"
    title = "The OCR service does not answer"


class OcrServiceBusy(OcrServiceUnavailable):
    problem = "ocr-service-busy"
    title = "The OCR service has more pages than it takes"
    retry_after_seconds = 5.0


class IssuerUnavailable(DependencyUnavailable):
    problem = "issuer-unavailable"
    title = "The issuer of access tokens does not answer"
    default_remedy = (
        "Try again shortly. The operator looks whether the API reaches MUNIMENT_OIDC__ISSUER;"
        " API keys and passwords work meanwhile."
    )


class OrchestratorUnavailable(DependencyUnavailable):
    problem = "orchestrator-unavailable"
    title = "Temporal does not answer"
