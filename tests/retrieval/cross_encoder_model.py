"""A cross-encoder small enough to write down: its score is how many of the question's tokens stand in the
text, pair by pair. With the embedder's tokenizer, in the files that the hub's models have."""

import shutil
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from muniment.embedding.model import packaged_weights_directory

FIRST_WORD = 999
"""In BERT's vocabulary lower ids are special tokens and single characters."""


def write_cross_encoder(directory: Path, *, is_broken: bool = False) -> Path:
    """The folder, filled. One that is broken is loaded, and fails at whatever it is given."""
    directory.mkdir(parents=True)
    source = packaged_weights_directory()
    for name in (
        "config.json",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ):
        shutil.copy(source / name, directory / name)
    # No question and text have two tokens together: the shapes do not fit.
    (directory / "model.onnx").write_bytes(_graph(one=[1.0, 1.0] if is_broken else [1.0]))
    return directory


def _graph(one: list[float]) -> bytes:
    def constant(name: str, value: object, kind: type) -> onnx.TensorProto:
        return numpy_helper.from_array(np.array(value, dtype=kind), name)

    def node(kind: str, inputs: list[str], output: str, **attributes: int) -> onnx.NodeProto:
        return helper.make_node(kind, inputs, [output], **attributes)

    nodes = [
        node("Unsqueeze", ["input_ids", "second"], "rows"),
        node("Unsqueeze", ["input_ids", "first"], "columns"),
        node("Equal", ["rows", "columns"], "are_equal"),
        node("Cast", ["are_equal"], "equal", to=TensorProto.FLOAT),
        node("Greater", ["input_ids", "first_word"], "are_words"),
        node("Cast", ["are_words"], "words", to=TensorProto.FLOAT),
        node("Cast", ["token_type_ids"], "of_text", to=TensorProto.FLOAT),
        node("Sub", ["one", "of_text"], "of_question"),
        node("Mul", ["of_question", "words"], "asked"),
        node("Mul", ["of_text", "words"], "said"),
        node("Unsqueeze", ["asked", "second"], "asked_rows"),
        node("Unsqueeze", ["said", "first"], "said_columns"),
        node("Mul", ["equal", "asked_rows"], "equal_asked"),
        node("Mul", ["equal_asked", "said_columns"], "shared"),
        node("ReduceSum", ["shared", "both"], "amounts", keepdims=0),
        node("Unsqueeze", ["amounts", "first"], "logits"),
    ]
    shape = ["batch", "sequence"]
    graph = helper.make_graph(
        nodes,
        "shared words",
        [
            helper.make_tensor_value_info("input_ids", TensorProto.INT64, shape),
            helper.make_tensor_value_info("token_type_ids", TensorProto.INT64, shape),
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 1])],
        [
            constant("first", [1], np.int64),
            constant("second", [2], np.int64),
            constant("both", [1, 2], np.int64),
            constant("one", one, np.float32),
            constant("first_word", FIRST_WORD, np.int64),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
