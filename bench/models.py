"""ResNet-50 and MobileNetV2 as ONNX files, for benchmarks: the architectures of the papers, seeded weights.

    python bench/models.py FOLDER

Timing depends on shapes, not on what a network has learnt. What it does depend on is that values stay in
a range as in a trained network, so that quantization is neither trivial nor broken: weights are
He-normal for the non-linearity that follows, a residual branch enters with a gain that keeps the sum's
variance from growing, and BatchNormalization is folded, as exporters leave it: a bias a convolution.

    ResNet-50    arXiv 1512.03385, stride on the 3x3 convolution of a block (what everybody runs): 4.09 GMAC
    MobileNetV2  arXiv 1801.04381, width 1.0: 0.30 GMAC
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17


class Net:
    """Nodes in a row; the methods take and return names of tensors."""

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def add(self, op: str, inputs: list[str], **attributes: object) -> str:
        out = f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [out], name=out, **attributes))
        return out

    def constant(self, name: str, values: np.ndarray) -> str:
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def gaussian(self, shape: tuple[int, ...], deviation: float) -> np.ndarray:
        return self.random.normal(0, deviation, shape).astype(np.float32)

    def conv(
        self,
        x: str,
        c_in: int,
        c_out: int,
        k: int,
        stride: int = 1,
        groups: int = 1,
        gain: float = 2.0,
    ) -> str:
        """Weights with variance gain / fan-in: 2 in front of a ReLU, 1 in front of nothing."""
        at = f"conv_{len(self.nodes)}"
        fan_in = c_in // groups * k * k
        w = self.gaussian((c_out, c_in // groups, k, k), (gain / fan_in) ** 0.5)
        b = self.gaussian((c_out,), 0.1)
        return self.add(
            "Conv",
            [x, self.constant(at + ".weight", w), self.constant(at + ".bias", b)],
            kernel_shape=[k, k],
            strides=[stride, stride],
            pads=[k // 2] * 4,
            group=groups,
        )

    def relu6(self, x: str) -> str:
        if not any(w.name == "zero" for w in self.weights):
            self.constant("zero", np.float32(0))
            self.constant("six", np.float32(6))
        return self.add("Clip", [x, "zero", "six"])

    def classifier(self, x: str, channels: int, classes: int = 1000) -> None:
        x = self.add("Flatten", [self.add("GlobalAveragePool", [x])])
        w = self.constant("fc.weight", self.gaussian((classes, channels), channels**-0.5))
        b = self.constant("fc.bias", self.gaussian((classes,), 0.1))
        x = self.add("Gemm", [x, w, b], transB=1)
        self.nodes[-1].output[0] = "logits"

    def model(self) -> onnx.ModelProto:
        image = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, 224, 224])
        logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 1000])
        graph = helper.make_graph(self.nodes, self.name, [image], [logits], self.weights)
        made = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8
        )
        onnx.checker.check_model(made, full_check=True)
        return made


def resnet50(seed: int = 50) -> onnx.ModelProto:
    net = Net("resnet50", seed)
    x = net.add("Relu", [net.conv("input", 3, 64, 7, 2)])
    x = net.add("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    c = 64
    for width, blocks, first_stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for block in range(blocks):
            stride = first_stride if block == 0 else 1
            y = net.add("Relu", [net.conv(x, c, width, 1)])
            y = net.add("Relu", [net.conv(y, width, width, 3, stride)])
            y = net.conv(y, width, 4 * width, 1, gain=0.25)
            if block == 0:
                x = net.conv(x, c, 4 * width, 1, stride, gain=1.0)
            c = 4 * width
            x = net.add("Relu", [net.add("Add", [y, x])])
    net.classifier(x, c)
    return net.model()


def mobilenetv2(seed: int = 2) -> onnx.ModelProto:
    net = Net("mobilenetv2", seed)
    x = net.relu6(net.conv("input", 3, 32, 3, 2))
    c = 32
    # Expansion, channels, blocks, stride of the first: table 2 of the paper.
    table = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )
    for expansion, c_out, blocks, first_stride in table:
        for block in range(blocks):
            stride = first_stride if block == 0 else 1
            hidden = c * expansion
            y = x if expansion == 1 else net.relu6(net.conv(x, c, hidden, 1))
            y = net.relu6(net.conv(y, hidden, hidden, 3, stride, groups=hidden))
            residual = stride == 1 and c == c_out
            y = net.conv(y, hidden, c_out, 1, gain=0.25 if residual else 1.0)
            x = net.add("Add", [x, y]) if residual else y
            c = c_out
    x = net.relu6(net.conv(x, c, 1280, 1))
    net.classifier(x, 1280)
    return net.model()


MODELS = {"resnet50": resnet50, "mobilenetv2": mobilenetv2}


def write(folder: Path) -> list[Path]:
    """Writes those that are missing; the same bytes on every machine."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, build in MODELS.items():
        path = folder / f"{name}.onnx"
        if not path.exists():
            part = path.with_suffix(".part")
            onnx.save(build(), part)
            part.rename(path)
        paths.append(path)
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes resnet50.onnx and mobilenetv2.onnx")
    parser.add_argument("folder", type=Path)
    for path in write(parser.parse_args().folder):
        print(path)


if __name__ == "__main__":
    main()
