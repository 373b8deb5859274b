"""`python -m api.openapi [--check FILE]`: the OpenAPI description, in a stable order.

Without arguments it is printed; with `--check` the exit code is 1 when FILE differs from it.
"""

import json
import sys
from pathlib import Path

from api.application import create_application


def description() -> str:
    """docs/openapi.json."""
    return (
        json.dumps(create_application().openapi(), indent=1, sort_keys=True, ensure_ascii=False)
        + "\n"
    )


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--check"] and len(arguments) == 2:
        if Path(arguments[1]).read_text(encoding="utf-8") == description():
            return 0
        sys.stderr.write(f"{arguments[1]} has drifted: run `make docs`.\n")
        return 1
    sys.stdout.write(description())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
