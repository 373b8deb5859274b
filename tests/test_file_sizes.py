"""A file holds one idea; one of more than 500 lines holds two."""

from pathlib import Path

import muniment

ROOT = Path(muniment.__file__).parents[1]
PACKAGES = (
    "activities",
    "api",
    "bench",
    "db",
    "deploy",
    "muniment",
    "retrieval",
    "tests",
    "worker",
    "workflows",
)
LINES_OF_A_FILE = 500


def test_no_file_is_longer_than_one_idea() -> None:
    sources = [
        path
        for package in PACKAGES
        for suffix in ("py", "sql")
        for path in (ROOT / package).rglob(f"*.{suffix}")
    ]
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in sources}
    assert len(lengths) > len(PACKAGES)
    long = {
        str(path.relative_to(ROOT)): count
        for path, count in lengths.items()
        if count > LINES_OF_A_FILE
    }
    assert not long
