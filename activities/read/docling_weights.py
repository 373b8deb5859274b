"""The folder of docling's weights: whether all is there, and what tells one set from another."""

import hashlib
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from muniment.errors import ConfigurationError

ARTIFACTS_VARIABLE = "MUNIMENT_DOCLING_ARTIFACTS"
"""In the environment of the sandbox's template: the folder."""
_LAYOUT = "docling-project--docling-layout-heron"
_TABLES = "docling-project--docling-models/model_artifacts/tableformer/accurate"
_NEEDED = (
    *(f"{_LAYOUT}/config.json", f"{_LAYOUT}/preprocessor_config.json"),
    *(
        f"{_LAYOUT}/*.safetensors",
        f"{_TABLES}/tm_config.json",
        f"{_TABLES}/tableformer_*.safetensors",
    ),
)
_LIBRARIES = ("docling-slim", "docling-ibm-models", "docling-core", "torch", "transformers")
_OWN_VERSION = 1


def require_docling_models(artifacts: Path | None) -> Path:
    """The folder; ConfigurationError where it or what runs its models is not all there."""
    for module in ("torch", "docling_ibm_models", "transformers"):
        if find_spec(module) is None:
            raise ConfigurationError(
                f"docling's pipeline was chosen and {module} is not installed.",
                remedy="Install muniment[docling], or set MUNIMENT_READ__PDF_PIPELINE=rules.",
            )
    if artifacts is None:
        raise ConfigurationError(
            "docling's pipeline was chosen and the folder of its weights is not named.",
            remedy="Fetch them with `docling-tools models download layout tableformer -o FOLDER` and"
            " set MUNIMENT_READ__DOCLING_ARTIFACTS=FOLDER, or MUNIMENT_READ__PDF_PIPELINE=rules.",
        )
    missing = [needed for needed in _NEEDED if not any(artifacts.glob(needed))]
    if missing:
        raise ConfigurationError(
            f"docling's pipeline was chosen and its weights lack {', '.join(missing)}.",
            remedy=f"Run `docling-tools models download layout tableformer -o {artifacts}`, or set"
            " MUNIMENT_READ__PDF_PIPELINE=rules.",
        )
    return artifacts


def pipeline_version(artifacts: Path) -> str:
    """By our own number, the libraries' versions and every byte of the weights, of which there are some
    hundred megabytes."""
    digest = hashlib.sha256()
    for needed in _NEEDED:
        for path in sorted(artifacts.glob(needed)):
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    libraries = (f"{name}-{version(name)}" for name in _LIBRARIES)
    return "/".join(["docling", str(_OWN_VERSION), *libraries, digest.hexdigest()[:16]])
