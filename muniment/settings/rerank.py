"""Settings of the reranker of searches."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from muniment.settings.group import Group


class RerankSettings(Group):
    """The model that reads the best passages of a search once more, where a request says `rerank`."""

    model_directory: Annotated[
        Path | None,
        Field(
            description="Folder of a cross-encoder (ONNX) and its tokenizer; unset: none"
            " (docs/search.md)."
        ),
    ] = None
    passages: Annotated[
        int, Field(description="Passages that it reads for a search.", ge=1, le=200)
    ] = 20
    timeout_seconds: Annotated[
        float,
        Field(
            description="How long it may take; the order is that of the fusion where it takes longer.",
            gt=0,
            le=60,
        ),
    ] = 5.0
    threads: Annotated[
        int | None, Field(description="Threads of one reading; unset: one per core.", ge=1)
    ] = None
