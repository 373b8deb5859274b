"""The BERT encoder of all-MiniLM-L6-v2 as an ONNX graph (opset 20), built by hand.

Inputs `input_ids` and `attention_mask`, int64 of shape (batch, sequence); output
`last_hidden_state`, float32 of shape (batch, sequence, 384). Devlin et al. 2018 for the layers;
tensor names are those of the published safetensors file. Pooling and normalisation are fastembed's.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

LAYERS = 6
HEADS = 12
HEAD_SIZE = 32
HIDDEN = HEADS * HEAD_SIZE
OPSET = 20
IR_VERSION = 9
"""The intermediate representation that came with opset 20; older runtimes refuse newer ones."""

MASKED = -1e9
"""Added to the attention scores of padding: exp() of it is 0 in float32."""

Tensors = Mapping[str, npt.NDArray[np.float32]]


def build_graph(weights: Tensors, layer_norm_epsilon: float) -> bytes:
    """The serialised model."""
    return _GraphBuilder(weights, layer_norm_epsilon).build()


class _GraphBuilder:
    """Nodes and initialisers as they come; every method returns the name of what it computes."""

    def __init__(self, weights: Tensors, layer_norm_epsilon: float) -> None:
        self._weights = weights
        self._epsilon = layer_norm_epsilon
        self._nodes: list[onnx.NodeProto] = []
        self._initialisers: dict[str, onnx.TensorProto] = {}

    def build(self) -> bytes:
        hidden = self._embeddings()
        mask = self._additive_mask()
        for layer in range(LAYERS):
            hidden = self._layer(f"encoder.layer.{layer}", hidden, mask)
        self._nodes.append(helper.make_node("Identity", [hidden], ["last_hidden_state"]))
        ids = ["batch", "sequence"]
        graph = helper.make_graph(
            self._nodes,
            "all-MiniLM-L6-v2",
            [
                helper.make_tensor_value_info("input_ids", TensorProto.INT64, ids),
                helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ids),
            ],
            [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, [*ids, HIDDEN])],
            list(self._initialisers.values()),
        )
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())

    def _embeddings(self) -> str:
        words = self._weight("embeddings.word_embeddings.weight")
        # Every token is of type 0, so its type embedding is a constant of each position.
        positions = self._constant(
            "positions",
            self._weights["embeddings.position_embeddings.weight"]
            + self._weights["embeddings.token_type_embeddings.weight"][0],
        )
        length = self._node("Shape", ["input_ids"], "sequence_length", start=1, end=2)
        zero, axis = self._integers("zero", [0]), self._integers("first_axis", [0])
        used = self._node("Slice", [positions, zero, length, axis], "used_positions")
        word = self._node("Gather", [words, "input_ids"], "word_vectors")
        return self._normalised("embeddings.LayerNorm", self._node("Add", [word, used], "embedded"))

    def _additive_mask(self) -> str:
        mask = self._node("Cast", ["attention_mask"], "mask", to=TensorProto.FLOAT)
        mask = self._node("Unsqueeze", [mask, self._integers("mask_axes", [1, 2])], "mask_4d")
        one = self._constant("one", np.array(1, dtype=np.float32))
        absent = self._node("Sub", [one, mask], "absent")
        masked = self._constant("masked", np.array(MASKED, dtype=np.float32))
        return self._node("Mul", [absent, masked], "additive_mask")

    def _layer(self, prefix: str, hidden: str, mask: str) -> str:
        attended = self._attention(f"{prefix}.attention.self", hidden, mask)
        attended = self._linear(f"{prefix}.attention.output.dense", attended)
        attended = self._node("Add", [attended, hidden], f"{prefix}.attended")
        attended = self._normalised(f"{prefix}.attention.output.LayerNorm", attended)
        wide = self._linear(f"{prefix}.intermediate.dense", attended)
        wide = self._node("Gelu", [wide], f"{prefix}.activated")
        narrow = self._linear(f"{prefix}.output.dense", wide)
        total = self._node("Add", [narrow, attended], f"{prefix}.total")
        return self._normalised(f"{prefix}.output.LayerNorm", total)

    def _attention(self, prefix: str, hidden: str, mask: str) -> str:
        query = self._heads(f"{prefix}.query", hidden, [0, 2, 1, 3])
        key = self._heads(f"{prefix}.key", hidden, [0, 2, 3, 1])
        value = self._heads(f"{prefix}.value", hidden, [0, 2, 1, 3])
        scale = self._constant("scale", np.array(HEAD_SIZE**-0.5, dtype=np.float32))
        scores = self._node("MatMul", [query, key], f"{prefix}.products")
        scores = self._node("Mul", [scores, scale], f"{prefix}.scaled")
        scores = self._node("Add", [scores, mask], f"{prefix}.scores")
        shares = self._node("Softmax", [scores], f"{prefix}.shares", axis=-1)
        context = self._node("MatMul", [shares, value], f"{prefix}.context")
        context = self._node("Transpose", [context], f"{prefix}.together", perm=[0, 2, 1, 3])
        joined = self._integers("joined_shape", [0, 0, HIDDEN])
        return self._node("Reshape", [context, joined], f"{prefix}.joined")

    def _heads(self, prefix: str, hidden: str, order: list[int]) -> str:
        flat = self._linear(prefix, hidden)
        shape = self._integers("heads_shape", [0, 0, HEADS, HEAD_SIZE])
        split = self._node("Reshape", [flat, shape], f"{prefix}.split")
        return self._node("Transpose", [split], f"{prefix}.heads", perm=order)

    def _linear(self, prefix: str, inputs: str) -> str:
        # Stored as (out, in); a transposed constant spares the transposition of every run.
        matrix = self._constant(f"{prefix}.matrix", self._weights[f"{prefix}.weight"].T)
        product = self._node("MatMul", [inputs, matrix], f"{prefix}.product")
        return self._node("Add", [product, self._weight(f"{prefix}.bias")], f"{prefix}.out")

    def _normalised(self, prefix: str, inputs: str) -> str:
        scale, bias = self._weight(f"{prefix}.weight"), self._weight(f"{prefix}.bias")
        return self._node(
            "LayerNormalization",
            [inputs, scale, bias],
            f"{prefix}.out",
            axis=-1,
            epsilon=self._epsilon,
        )

    def _node(
        self, operator: str, inputs: list[str], output: str, **attributes: int | float | list[int]
    ) -> str:
        node = helper.make_node(operator, inputs, [output])
        node.attribute.extend(
            helper.make_attribute(name, value) for name, value in sorted(attributes.items())
        )
        self._nodes.append(node)
        return output

    def _weight(self, name: str) -> str:
        return self._constant(name, self._weights[name])

    def _integers(self, name: str, values: list[int]) -> str:
        return self._constant(name, np.array(values, dtype=np.int64))

    def _constant(self, name: str, value: npt.NDArray[np.float32] | npt.NDArray[np.int64]) -> str:
        if name not in self._initialisers:
            tensor = numpy_helper.from_array(np.ascontiguousarray(value), name)
            self._initialisers[name] = tensor
        return name
