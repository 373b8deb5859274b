"""What seals the audit trail, as the settings have it."""

from contextlib import AsyncExitStack

from activities.audit.activity import AuditSealing
from activities.audit.sealing import Sealer
from db.session import Database
from muniment.audit.signing_keys import load_signing_keys
from muniment.settings import Settings
from muniment.stores import AUDIT_KEY_FILE, open_audit_copies


def open_audit_sealing(
    settings: Settings, database: Database, resources: AsyncExitStack
) -> AuditSealing:
    """With the signing key, which is made where there is none. ConfigurationError when the settings cannot
    work."""
    keys = load_signing_keys(settings.keys.root / AUDIT_KEY_FILE, settings.audit.origin)
    copies = open_audit_copies(settings.audit_copies)
    if copies is not None:
        resources.push_async_callback(copies.close)
    return AuditSealing(database, Sealer(database, keys, copies))
