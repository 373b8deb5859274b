"""A job's events folded into the Job as it is after each of them."""

from muniment.client.actions import Deliver, Stream
from muniment.client.events import Event, ResumedStream, job_path
from muniment.client.models import Job, Stage
from muniment.client.protocol import Protocol
from muniment.contracts.jobs import STAGE_WEIGHTS, StageName, StageState

_OVER = frozenset({StageState.COMPLETED, StageState.REUSED, StageState.SKIPPED})


def follow(protocol: Protocol, job: Job) -> Stream[Job]:
    """The job as it is now, then after every change, the last one terminal."""
    yield Deliver(job)
    if not job.is_terminal:
        folded = _Folded(job)
        yield from ResumedStream(protocol, job_path(job.id), folded.accept, ends=True).run()


class _Folded:
    def __init__(self, job: Job) -> None:
        self._job = job

    def accept(self, event: Event) -> Job | None:
        """The job after the event; None when that changed nothing."""
        changed = fold(self._job, event)
        if changed == self._job:
            return None
        self._job = changed
        return changed


def fold(job: Job, event: Event) -> Job:
    """The job after an event. Events are absolute: one that came twice changes nothing."""
    if (whole := event.job) is not None:
        return whole
    stage = event.stage
    if stage is None or job.is_terminal:
        return job
    stages = tuple(stage if known.name == stage.name else known for known in job.stages)
    if stage.name not in {known.name for known in stages}:
        stages = (*stages, stage)
    changes: dict[str, object] = {"stages": stages, "percent": _percent(job.percent, stages)}
    if stage.state == StageState.RUNNING:
        changes["stage"] = stage.name
    if stage.name == StageName.READ and stage.total:
        pages = {"total": stage.total, "done": max(stage.done, job.pages.done)}
        changes["pages"] = job.pages.model_copy(update=pages)
    return job.model_copy(update=changes)


def _percent(reached: float, stages: tuple[Stage, ...]) -> float:
    """What the API would say: the weights of finished stages, a share of running ones; it never
    falls."""
    total = 0.0
    for stage in stages:
        weight = STAGE_WEIGHTS[stage.name] if isinstance(stage.name, StageName) else 0
        if stage.state in _OVER:
            total += weight
        elif stage.total:
            total += weight * min(stage.done / stage.total, 1.0)
    return max(reached, round(total, 1))
