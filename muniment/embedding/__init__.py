"""Vectors for texts: all-MiniLM-L6-v2 on the CPU, from packaged weights, without any network.

Used by the embed stage for chunks and by searches for queries, so that both always mean the same
model. Importing this package loads no model library.
"""

import os

# ONNX Runtime 1.31 starts a telemetry thread, writes under ~/.cache and knows a collector's
# address; only this variable, set before onnxruntime is imported anywhere, stops it.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

from muniment.embedding.embedder import Embedder
from muniment.embedding.model import (
    DIMENSIONS,
    MODEL_ID,
    MODEL_VERSION,
    WINDOW_TOKENS,
    default_model_directory,
    prepare_model,
)
from muniment.embedding.models import SHORT_DIMENSIONS, SHORT_MODEL_ID, TextEmbedder

__all__ = [
    "DIMENSIONS",
    "MODEL_ID",
    "MODEL_VERSION",
    "SHORT_DIMENSIONS",
    "SHORT_MODEL_ID",
    "WINDOW_TOKENS",
    "Embedder",
    "TextEmbedder",
    "default_model_directory",
    "prepare_model",
]
