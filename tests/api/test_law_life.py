"""Files under holds, locks and policies, trashed, erased, restored and swept as time passes, in any order:
no act succeeds that precedence forbids, each that it allows does, and what is kept is as it was."""

from typing import ClassVar
from uuid import UUID

import psycopg
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, consumes, rule

from activities.retention.activity import SweepPolicy, step
from db.models import RetentionSweep
from db.session import Access
from tests.api.hold_model import Model
from tests.api.law_model import LawModel, ModelLock, ModelPolicy
from tests.api.test_dispositions import GENEROUS
from tests.api.test_hold_life import LABELS, HoldLife, House, house, run_lives
from tests.api.test_retention import BYPASS, in_days

__all__ = ["house"]

_PASSING = (
    "UPDATE retention_lock SET retain_until = retain_until - make_interval(days => %s)"
    " WHERE tenant_id = %s",
    "UPDATE file SET created_at = created_at - make_interval(days => %s) WHERE tenant_id = %s",
)
"""What is written down of times lies as much further back."""


class LawLife(HoldLife):
    """The life of held files, with retention in it."""

    model_class: ClassVar[type[Model]] = LawModel
    model: LawModel
    policies: Bundle[str] = Bundle("policies")

    # ── locks ───────────────────────────────────────────────────────────────────────────────────

    @rule(
        file_id=HoldLife.files,
        mode=st.sampled_from(["governance", "compliance"]),
        days=st.integers(1, 3),
        bypasses=st.booleans(),
    )
    def lock(self, file_id: str, mode: str, days: int, bypasses: bool) -> None:
        """Also one that would be shorter, or weaker, than the one there is."""
        file, until = self.model.files[file_id], self.model.day + days
        body = {"mode": mode, "retain_until": in_days(days)}
        if bypasses:
            body["reason"] = "an error"
        path = f"/v1/files/{file_id}/retention"
        answer = self.client.put(path, json=body, headers=BYPASS if bypasses else {})
        assert self.stranger.put(path, json=body).status_code == 404
        former = self.model.locks.get(file_id)
        stands = former is not None and former.until > self.model.day
        if file.state == "erased":
            assert answer.status_code == 410, answer.text
        elif file.is_past_return or (former and stands and _weakens(former, mode, until, bypasses)):
            assert answer.status_code == 409, answer.text
        else:
            assert answer.status_code == 200, answer.text
            self.model.locks[file_id] = ModelLock(mode, until)
        self._look_at(file_id)

    # ── policies ────────────────────────────────────────────────────────────────────────────────

    @rule(
        target=policies,
        label=st.sampled_from([None, *LABELS]),
        days=st.integers(0, 3),
        disposition=st.sampled_from(["none", "delete"]),
    )
    def make_policy(self, label: str | None, days: int, disposition: str) -> str:
        body = {"name": "p", "label": label, "days": days, "disposition": disposition}
        answer = self.client.post("/v1/retention-policies", json=body)
        assert answer.status_code == 201, answer.text
        policy_id = str(answer.json()["id"])
        self.model.policies[policy_id] = ModelPolicy(label, days, disposition)
        return policy_id

    @rule(policy_id=consumes(policies))
    def end_policy(self, policy_id: str) -> None:
        assert self.stranger.post(f"/v1/retention-policies/{policy_id}/end").status_code == 404
        answer = self.client.post(f"/v1/retention-policies/{policy_id}/end")
        assert answer.status_code == 200, answer.text
        self.model.policies[policy_id].is_ended = True

    # ── sweeps ──────────────────────────────────────────────────────────────────────────────────

    @rule()
    def sweep(self) -> None:
        begun = self.client.post("/v1/retention-sweeps", json={})
        assert begun.status_code == 202, begun.text
        sweep_id = UUID(begun.json()["id"])
        expected = self.model.sweep()
        while not self.house.loop.run(self._step(sweep_id, GENEROUS)):
            pass
        for file_id in expected:
            self.model.files[file_id].state = "erasing"
        for file_id in self.model.files:
            self._look_at(file_id)

    async def _step(self, sweep_id: UUID, policy: SweepPolicy) -> bool:
        """Whether it was the last."""
        access = Access(self.tenant.tenant_id)
        async with self.house.database.transaction(access) as session:
            row = await session.get_one(RetentionSweep, sweep_id, with_for_update=True)
            done = await step(session, row, policy)
        assert not done.wait_seconds
        return done.is_over

    # ── time, and what everybody sees ───────────────────────────────────────────────────────────

    @rule(days=st.integers(1, 2))
    def wait(self, days: int) -> None:
        with psycopg.connect(self.house.postgres_dsn) as connection:
            # Nobody shortens a compliance lock: time passes by no trigger.
            connection.execute("SET session_replication_role = replica")
            for statement in _PASSING:
                connection.execute(statement, (days, self.tenant.tenant_id))
        super().wait(days)

    def _look_at(self, file_id: str) -> None:
        super()._look_at(file_id)
        if self.model.files[file_id].state == "visible":
            told = self.client.get(f"/v1/files/{file_id}/retention").json()
            assert told["kept"] == self.model.stops_deletion(file_id), told


def _weakens(former: ModelLock, mode: str, until: int, bypasses: bool) -> bool:
    is_shorter = until < former.until
    if former.mode == "compliance":
        return is_shorter or mode != "compliance"
    return is_shorter and not bypasses


def test_no_act_succeeds_that_precedence_forbids(house: House) -> None:
    run_lives(house, lives=5, steps=20, machine=LawLife)


@pytest.mark.slow
def test_no_act_succeeds_that_precedence_forbids_whatever_happens(house: House) -> None:
    run_lives(house, lives=40, steps=50, machine=LawLife)
