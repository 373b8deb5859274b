"""A certificate states what was done, and no more."""

import pytest

from activities.erasure.statement import payload_of
from db.models import new_id, now
from db.queries.erasure import FinishedErasure
from muniment.contracts.erase_file import EraseFileInput


@pytest.mark.parametrize(
    ("keys_destroyed", "ciphertexts_left", "methods"),
    [
        (3, 0, ["data_key_destroyed", "ciphertext_deleted", "rows_deleted"]),
        (3, 1, ["data_key_destroyed", "ciphertext_deleted", "rows_deleted"]),
        (3, 3, ["data_key_destroyed", "rows_deleted"]),
        (0, 0, ["rows_deleted"]),
    ],
)
def test_methods_are_those_that_something_was_destroyed_by(
    keys_destroyed: int, ciphertexts_left: int, methods: list[str]
) -> None:
    request = EraseFileInput(tenant_id=new_id(), file_id=new_id(), job_id=new_id())
    finished = FinishedErasure(
        keys_destroyed=keys_destroyed,
        blobs_kept=0 if keys_destroyed else 2,
        ciphertexts_left=ciphertexts_left,
        id=new_id(),
        requested_by=None,
        created_at=now(),
        finished_at=now(),
    )
    stated = payload_of(request, finished, backup_days=None)
    assert stated["methods"] == methods
