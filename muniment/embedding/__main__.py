"""`python -m muniment.embedding MODEL_DIR`: prepares the embedding model, as `make setup` does."""

import sys
from pathlib import Path

from muniment.embedding.model import prepare_model
from muniment.errors import MunimentError


def main(arguments: list[str]) -> int:
    """The exit code: 0 when the model is there, 1 when it cannot be made, 2 for a wrong call."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m muniment.embedding MODEL_DIR\n")
        return 2
    try:
        directory = prepare_model(Path(arguments[0]))
    except MunimentError as error:
        sys.stderr.write(f"{error.detail} {error.remedy}\n")
        return 1
    sys.stdout.write(f"The embedding model is in {directory}.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
