"""What is written down of a judgement: policies, types and counts, never values."""

from pydantic import JsonValue

from db.audit import Act
from muniment.contracts.base import VersionReference
from muniment.contracts.findings import Judgement


def judged_act(version: VersionReference, judgement: Judgement) -> Act:
    causes: list[JsonValue] = [cause.model_dump(mode="json") for cause in judgement.causes]
    return Act(
        action="findings.judged",
        object_type="file",
        object_id=version.file_id,
        tenant_id=version.tenant_id,
        payload={
            "version_id": str(version.version_id),
            "act": judgement.act.value,
            "causes": causes,
        },
    )
