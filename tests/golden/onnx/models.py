"""Small models that between them use every form of ONNX that the reader knows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper, numpy_helper


def value(name: str, dtype: int, shape: list[int | str | None] | None) -> onnx.ValueInfoProto:
    """A typed value."""
    return helper.make_tensor_value_info(name, dtype, shape)


def model(
    graph: onnx.GraphProto, opset: int = 17, ir: int = 8, domains: tuple[str, ...] = ()
) -> onnx.ModelProto:
    """A model of one graph."""
    opsets = [helper.make_opsetid("", opset)] + [helper.make_opsetid(d, 1) for d in domains]
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir, producer_name="golden")


def affine() -> onnx.ModelProto:
    """Typed and raw initializers, doc strings, metadata, a symbolic size."""
    rng = np.random.default_rng(1)
    w = rng.standard_normal((3, 4)).astype(np.float32)
    g = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["m"], name="mm", doc_string="why"),
            helper.make_node("Add", ["m", "b"], ["y"], name="add"),
        ],
        "affine",
        [value("x", T.FLOAT, ["N", 3])],
        [value("y", T.FLOAT, ["N", 4])],
        [
            numpy_helper.from_array(w, "w"),
            helper.make_tensor("b", T.FLOAT, [4], [0.5, -1.0, 2.0, 1e-30]),
        ],
        doc_string="a graph",
        value_info=[value("m", T.FLOAT, ["N", 4])],
    )
    m = model(g)
    m.doc_string = "a model"
    helper.set_model_props(m, {"author": "nobody", "note": "ünïcode"})
    return m


def constants() -> onnx.ModelProto:
    """Constant nodes of every form, and each integer type through Cast."""
    nodes = [
        helper.make_node(
            "Constant", [], ["a"], value=helper.make_tensor("v", T.INT64, [2], [3, -4])
        ),
        helper.make_node("Constant", [], ["b"], value_float=0.25),
        helper.make_node("Constant", [], ["c"], value_floats=[1.0, 2.0]),
        helper.make_node("Constant", [], ["d"], value_int=7),
        helper.make_node("Constant", [], ["e"], value_ints=[5, 6]),
    ]
    names = ["a", "b", "c", "d", "e"]
    initializers = []
    values: dict[str, tuple[int, list[float]]] = {
        "u8": (T.UINT8, [255, 0]),
        "i8": (T.INT8, [-128, 127]),
        "u16": (T.UINT16, [65535, 1]),
        "i16": (T.INT16, [-32768, 5]),
        "i32": (T.INT32, [-(2**31), 9]),
        "u32": (T.UINT32, [2**32 - 1, 2]),
        "u64": (T.UINT64, [2**40, 3]),
        "bool": (T.BOOL, [1, 0]),
        "f16": (T.FLOAT16, [0.5, -2.0]),
        "f64": (T.DOUBLE, [1e10, -0.125]),
    }
    for name, (dtype, content) in values.items():
        initializers.append(helper.make_tensor(name, dtype, [2], content))
        names.append(name)
    cast = []
    for name in names:
        nodes.append(helper.make_node("Cast", [name], [f"{name}_f"], to=T.FLOAT))
        nodes.append(helper.make_node("Mul", [f"{name}_f", "x"], [f"{name}_y"]))
        cast.append(value(f"{name}_y", T.FLOAT, [2]))
    return model(
        helper.make_graph(nodes, "constants", [value("x", T.FLOAT, [2])], cast, initializers)
    )


def small_types() -> onnx.ModelProto:
    """int4 and uint4 weights with an odd number of elements."""
    nodes = []
    outputs = []
    for name in ("i4", "u4"):
        nodes.append(helper.make_node("DequantizeLinear", [name, "s"], [f"{name}_y"]))
        outputs.append(value(f"{name}_y", T.FLOAT, [5]))
    nodes.append(helper.make_node("Relu", ["x"], ["y"]))
    outputs.append(value("y", T.FLOAT, [1]))
    g = helper.make_graph(
        nodes,
        "small_types",
        [value("x", T.FLOAT, [1])],
        outputs,
        [
            helper.make_tensor("i4", T.INT4, [5], [-8, 7, 0, -1, 3]),
            helper.make_tensor("u4", T.UINT4, [5], [15, 0, 8, 1, 2]),
            helper.make_tensor("s", T.FLOAT, [], [0.5]),
        ],
    )
    return model(g, opset=21, ir=10)


def nested_if() -> onnx.ModelProto:
    """Bodies that read from one and two scopes further out."""
    deep = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["sum"])], "deep", [], [value("sum", T.FLOAT, [2])]
    )
    other = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["same"])], "other", [], [value("same", T.FLOAT, [2])]
    )
    then_branch = helper.make_graph(
        [
            helper.make_node("If", ["c"], ["s"], then_branch=deep, else_branch=other),
            helper.make_node("Neg", ["s"], ["t"]),
        ],
        "then",
        [],
        [value("t", T.FLOAT, [2])],
    )
    else_branch = helper.make_graph(
        [helper.make_node("Mul", ["x", "k"], ["e"])],
        "else",
        [],
        [value("e", T.FLOAT, [2])],
        [helper.make_tensor("k", T.FLOAT, [2], [3.0, 4.0])],
    )
    g = helper.make_graph(
        [
            helper.make_node("ReduceSum", ["x"], ["total"], keepdims=0),
            helper.make_node("Greater", ["total", "zero"], ["c"]),
            helper.make_node("If", ["c"], ["y"], then_branch=then_branch, else_branch=else_branch),
        ],
        "nested_if",
        [value("x", T.FLOAT, [2])],
        [value("y", T.FLOAT, [2])],
        [
            helper.make_tensor("w", T.FLOAT, [2], [1.0, 2.0]),
            helper.make_tensor("zero", T.FLOAT, [], [0.0]),
        ],
    )
    return model(g)


def loop() -> onnx.ModelProto:
    """A Loop whose body reads a value and an initializer from outside."""
    body = helper.make_graph(
        [
            helper.make_node("Mul", ["state", "factor"], ["scaled"]),
            helper.make_node("Add", ["scaled", "x"], ["next"]),
            helper.make_node("Identity", ["cond"], ["again"]),
            helper.make_node("Identity", ["next"], ["trace"]),
        ],
        "body",
        [value("i", T.INT64, []), value("cond", T.BOOL, []), value("state", T.FLOAT, [2])],
        [value("again", T.BOOL, []), value("next", T.FLOAT, [2]), value("trace", T.FLOAT, [2])],
    )
    g = helper.make_graph(
        [helper.make_node("Loop", ["n", "", "x"], ["y", "all"], body=body, name="loop")],
        "loop",
        [value("x", T.FLOAT, [2])],
        [value("y", T.FLOAT, [2]), value("all", T.FLOAT, [3, 2])],
        [
            helper.make_tensor("n", T.INT64, [], [3]),
            helper.make_tensor("factor", T.FLOAT, [], [0.5]),
        ],
    )
    return model(g)


def function() -> onnx.ModelProto:
    """A function with an attribute, called twice, once from within another function."""
    inner = helper.make_function(
        "own",
        "Leaky",
        ["a"],
        ["b"],
        [
            helper.make_node("LeakyRelu", ["a"], ["t"]),
            helper.make_node("Neg", ["t"], ["b"]),
        ],
        [helper.make_opsetid("", 17)],
        ["slope"],
    )
    reference = inner.node[0].attribute.add()
    reference.name = "alpha"
    reference.ref_attr_name = "slope"
    reference.type = onnx.AttributeProto.FLOAT
    outer = helper.make_function(
        "own",
        "Twice",
        ["a"],
        ["b"],
        [
            helper.make_node("Leaky", ["a"], ["t"], domain="own", slope=0.25),
            helper.make_node("Leaky", ["t"], ["b"], domain="own", slope=0.5),
        ],
        [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)],
    )
    g = helper.make_graph(
        [
            helper.make_node("Twice", ["x"], ["m"], domain="own", name="call"),
            helper.make_node("Leaky", ["m"], ["y"], domain="own", slope=0.125),
        ],
        "function",
        [value("x", T.FLOAT, [2])],
        [value("y", T.FLOAT, [2])],
    )
    m = model(g, domains=("own",))
    m.functions.extend([inner, outer])
    return m


def old_defaults() -> onnx.ModelProto:
    """IR version 3: initializers are inputs too."""
    g = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "old",
        [value("x", T.FLOAT, [2]), value("w", T.FLOAT, [2])],
        [value("y", T.FLOAT, [2])],
        [helper.make_tensor("w", T.FLOAT, [2], [1.0, 2.0])],
    )
    return model(g, opset=8, ir=3)


def external() -> onnx.ModelProto:
    """An initializer that is large enough to be stored beside the model."""
    rng = np.random.default_rng(2)
    w = rng.standard_normal((64, 64)).astype(np.float32)
    g = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "external",
        [value("x", T.FLOAT, [1, 64])],
        [value("y", T.FLOAT, [1, 64])],
        [numpy_helper.from_array(w, "w")],
    )
    return model(g)


def all_models() -> Iterator[tuple[str, onnx.ModelProto]]:
    """Every model, by name."""
    makers = (
        affine,
        constants,
        small_types,
        nested_if,
        loop,
        function,
        old_defaults,
        external,
    )
    for make in makers:
        yield make.__name__, make()
