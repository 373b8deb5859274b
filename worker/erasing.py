"""What erases files, as the settings have it."""

from collections.abc import Coroutine, Sequence

from activities.erasure.activity import Erasure
from activities.erasure.ledger import ErasureLedger
from db.session import Database
from muniment.settings import Settings
from muniment.stores import Stores
from worker.erased_space import LONGEST_VACUUM_SECONDS, ErasedSpace


def open_erasure(settings: Settings, database: Database, stores: Stores) -> Erasure:
    ledger = ErasureLedger(stores.erasure_ledger)
    days = settings.erasure.backup_days
    return Erasure(database, stores.blobs, ledger, stores.tiers, days, stores.keys)


def vacuuming(settings: Settings, database: Database) -> Sequence[Coroutine[None, None, None]]:
    """What goes on beside the polling, where it is wanted."""

    def connect() -> Database:
        return Database(
            settings.database.url.get_secret_value(),
            pool_size=1,
            statement_timeout_seconds=LONGEST_VACUUM_SECONDS,
        )

    hours = settings.erasure.vacuum_hours
    return (ErasedSpace(database, connect, hours).run(),) if hours else ()
