"""What erases files, as the settings have it."""

from activities.erasure.activity import Erasure
from activities.erasure.ledger import ErasureLedger
from db.session import Database
from muniment.settings import Settings
from muniment.stores import Stores


def open_erasure(settings: Settings, database: Database, stores: Stores) -> Erasure:
    ledger = ErasureLedger(stores.erasure_ledger)
    return Erasure(database, stores.blobs, ledger, stores.tiers, settings.erasure.backup_days)
