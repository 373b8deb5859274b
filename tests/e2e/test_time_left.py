"""`eta_seconds` of a job that nothing disturbs, beside the time that it really had left."""

import time
from pathlib import Path
from statistics import median

import httpx
import pytest

from tests.stack import TERMINAL, Stack, running_stack, wait_for
from tests.workflows.documents import long_pdf, page_text, text_pdf

MOST_OFF = 0.30
FIRST_SHARE = 0.1
"""Of the pages: before, there is little to go by."""
DENSE_LINES = 40

Sample = tuple[float, float]
"""A moment and the seconds that were said to be left then."""


def dense_page(number: int) -> str:
    """As many words as a page of a report has."""
    lines = page_text(number).splitlines()
    return "\n".join(
        f"{line} {lines[line_number % len(lines)][:24]}"
        for line_number, line in enumerate((lines * DENSE_LINES)[:DENSE_LINES])
    )


@pytest.mark.slow
@pytest.mark.timeout(2_400)
def test_the_time_left_is_told_honestly(tmp_path: Path) -> None:
    documents = {
        "mixed.pdf": (400, long_pdf(400, frozenset(range(10, 400, 20)))),
        "dense.pdf": (300, text_pdf([dense_page(number) for number in range(300)])),
    }
    with running_stack(tmp_path / "home") as stack, stack.client() as client:
        warm = tmp_path / "warm.pdf"
        warm.write_bytes(long_pdf(8, frozenset({4})))
        file = stack.upload(client, warm)
        stack.finished_job(client, file["job"]["id"])  # type: ignore[index] # JSON
        errors = {}
        for name, (pages, content) in documents.items():
            path = tmp_path / name
            path.write_bytes(content)
            samples, ended = _followed(stack, client, path, FIRST_SHARE * pages)
            assert samples, f"no estimate for {name}"
            errors[name] = median(_off(sample, ended) for sample in samples)
            _show(name, samples, ended, errors[name])
    assert max(errors.values()) <= MOST_OFF, errors


def _followed(
    stack: Stack, client: httpx.Client, path: Path, least_pages: float
) -> tuple[list[Sample], float]:
    """The estimates from `least_pages` on, and the moment at which the job was over."""
    file = stack.upload(client, path)
    job_id = file["job"]["id"]  # type: ignore[index] # JSON
    samples: list[Sample] = []

    def is_over() -> bool:
        job = client.get(f"/v1/jobs/{job_id}").json()
        if job["state"] in TERMINAL:
            assert job["state"] == "completed", job
            return True
        if job["eta_seconds"] is not None and job["pages"]["done"] >= least_pages:
            samples.append((time.monotonic(), job["eta_seconds"]))
        return False

    wait_for(is_over, timeout_seconds=1_200, what=f"{path.name} to be ready", pause_seconds=0.25)
    return samples, time.monotonic()


def _off(sample: Sample, ended: float) -> float:
    """By which share of the time that was left the estimate is wrong."""
    moment, told = sample
    return abs(told - (ended - moment)) / (ended - moment)


def _show(name: str, samples: list[Sample], ended: float, off: float) -> None:
    print(f"{name}: median {off:.0%} off, of {len(samples)} estimates")
    for moment, told in samples[:: max(1, len(samples) // 15)]:
        print(f"  said {told:6.1f} s, took {ended - moment:6.1f} s")
