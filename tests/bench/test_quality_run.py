"""`python -m bench.quality` over a few small files, as a person runs it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
MOST_SECONDS = 900
COMMAND = (sys.executable, "-m", "bench.quality")
FILES = ("docx/word_sample", "csv/csv-comma-in-cell", "pdf-encrypted/password.pdf")


@pytest.mark.timeout(1_000)
def test_a_small_run_prints_tables_and_keeps_a_line_per_file(
    shared_data: Path, tmp_path: Path
) -> None:
    lines = tmp_path / "quality.jsonl"
    finished = subprocess.run(
        [*COMMAND, "--lines", str(lines), "--only", *FILES],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=MOST_SECONDS,
        check=True,
    )
    results = {line["name"]: line for line in map(json.loads, lines.read_text().splitlines())}
    word = results["docx/word_sample.docx"]
    assert word["outcome"] == "read"
    assert word["similarity"] > word["peers"]["kreuzberg"] > 0.5
    assert word["similarity"] > 0.95
    assert word["heading_f1"] == 1.0
    encrypted = results["pdf-encrypted/password.pdf"]
    assert encrypted["outcome"] == "read"
    assert encrypted["sayings"] == {"found": 1, "total": 1}
    assert "| docx/word_sample.docx | read |" in finished.stdout
    assert "| similarity where kreuzberg reads too |" in finished.stdout
    assert "| files that crash an engine | 0.000 | ≤ 0.000 | yes |" in finished.stdout
