"""Mutants of the graph: the right weights, another computation. PyTorch's word for each stands beside ONNX's."""

from collections.abc import Callable

import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional

from mutants.mutant import (
    Build,
    Mutant,
    linear_layers,
    nodes_of,
    one_of,
    put_nodes,
    rename,
    same,
    splice,
    with_function,
    with_module,
)
from toolkit.fashion.model import Mlp


def leaky(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, 0.01)


def gelu(x: Tensor) -> Tensor:
    return functional.gelu(x)


def relu6(x: Tensor) -> Tensor:
    return functional.relu6(x)


def transposed(x: Tensor) -> Tensor:
    return x.transpose(2, 3)


def mirrored(x: Tensor) -> Tensor:
    return x.flip(3)


def upside_down(x: Tensor) -> Tensor:
    return x.flip(2)


def shifted(x: Tensor) -> Tensor:
    return torch.roll(x, 1, 3)


def divided(x: Tensor) -> Tensor:
    return x / 255


def multiplied(x: Tensor) -> Tensor:
    return x * 255


def normalised(x: Tensor) -> Tensor:
    return (x - 0.5) / 0.5


def inverted(x: Tensor) -> Tensor:
    return 1 - x


def clipped(x: Tensor) -> Tensor:
    return x.clamp(0, 1)


def eight_bits(x: Tensor) -> Tensor:
    return (x * 255).floor() / 255


def final_relu(x: Tensor, images: Tensor) -> Tensor:
    return torch.relu(x)


def softmax(x: Tensor, images: Tensor) -> Tensor:
    return torch.softmax(x, 1)


def log_softmax(x: Tensor, images: Tensor) -> Tensor:
    return torch.log_softmax(x, 1)


def gain(x: Tensor, images: Tensor) -> Tensor:
    return x * 1.0001


def offset(x: Tensor, images: Tensor) -> Tensor:
    return x + 1e-4 * (torch.arange(10, device=x.device) == 6)


def clamped(x: Tensor, images: Tensor) -> Tensor:
    return x.clamp(-5, 5)


def clamped_far_out(x: Tensor, images: Tensor) -> Tensor:
    return x.clamp(-1000, 1000)


def centred(x: Tensor, images: Tensor) -> Tensor:
    return x - x.mean(1, keepdim=True)


def three_decimals(x: Tensor, images: Tensor) -> Tensor:
    return (x * 1000).round() / 1000


class Doubled(nn.Module):
    """The second layer is there twice."""

    def __init__(self, model: Mlp) -> None:
        super().__init__()
        self.first, self.second, self.third = linear_layers(model)

    def forward(self, images: Tensor) -> Tensor:
        hidden = torch.relu(self.second(torch.relu(self.first(torch.flatten(images, 1)))))
        logits: Tensor = self.third(torch.relu(self.second(hidden)))
        return logits


class BiasTwice(Doubled):
    """The first layer adds its bias twice."""

    def forward(self, images: Tensor) -> Tensor:
        hidden = torch.relu(self.first(torch.flatten(images, 1)) + self.first.bias)
        logits: Tensor = self.third(torch.relu(self.second(hidden)))
        return logits


class LowProducts(Doubled):
    """Weights and activations are rounded before each product."""

    def __init__(self, model: Mlp, kind: str) -> None:
        super().__init__(model)
        self.kind = kind

    def low(self, values: Tensor) -> Tensor:
        if self.kind == "float16":
            return values.half().float()
        if self.kind == "bfloat16":
            return values.to(torch.bfloat16).float()
        split = values * 8193.0  # Veltkamp: 2^13 + 1 leaves the upper 11 bits of the significand, those of TF32
        return split - (split - values)

    def product(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return functional.linear(self.low(x), self.low(weight), bias)

    def forward(self, images: Tensor) -> Tensor:
        x = self.product(torch.flatten(images, 1), self.first.weight, self.first.bias).relu()
        x = self.product(x, self.second.weight, self.second.bias).relu()
        return self.product(x, self.third.weight, self.third.bias)


_ROUNDED = {
    "float16": "half = Cast <to = 10> (x) y = Cast <to = 1> (half)",
    "bfloat16": "half = Cast <to = 16> (x) y = Cast <to = 1> (half)",
    "tf32": "c = Constant <value_float = 8193.0> () split = Mul(x, c) rest = Sub(split, x) y = Sub(split, rest)",
}


def _low_products(kind: str) -> Callable[[onnx.ModelProto], None]:
    def change(proto: onnx.ModelProto) -> None:
        nodes: list[onnx.NodeProto] = []
        for node in proto.graph.node:
            for slot in (0, 1) if node.op_type == "Gemm" else ():
                added = nodes_of(_ROUNDED[kind])
                for name in ("c", "half", "split", "rest", "y"):
                    for of_inputs in (True, False):
                        rename(added, name, f"{name}.{len(nodes)}.{slot}", of_inputs=of_inputs)
                rename(added, "x", node.input[slot], of_inputs=True)
                node.input[slot] = added[-1].output[0]
                nodes += added
            nodes.append(node)
        put_nodes(proto, nodes)

    return change


def _doubled(proto: onnx.ModelProto) -> None:
    layer = 'Gemm <transB = 1> (first, "linear_relu_stack.2.weight", "linear_relu_stack.2.bias")'
    splice(proto, "relu_1", f"first = Relu(x) again = {layer} y = Relu(again)")


def _bias_twice(proto: onnx.ModelProto) -> None:
    splice(proto, "relu", 'more = Add(x, "linear_relu_stack.0.bias") y = Relu(more)')


def _low(kind: str) -> Build:
    return with_module(lambda model: LowProducts(model, kind), _low_products(kind))


def _scalar(value: float) -> str:
    return f"c = Constant <value_float = {value!r}> () "


_BACKWARDS = "b = Constant <value_ints = [-1]> () e = Constant <value_ints = [-29]> ()"
_COLUMNS = (
    "z = Constant <value_ints = [0]> () m = Constant <value_ints = [27]> () e = Constant <value_ints = [28]> ()"
    "axis = Constant <value_ints = [3]> () last = Slice(x, m, e, axis) rest = Slice(x, z, m, axis)"
)

_IMAGES = {
    "image-transposed": (transposed, "y = Transpose <perm = [0, 1, 3, 2]> (x)"),
    "image-mirrored": (mirrored, f"{_BACKWARDS} axis = Constant <value_ints = [3]> () y = Slice(x, b, e, axis, b)"),
    "image-upside-down": (
        upside_down,
        f"{_BACKWARDS} axis = Constant <value_ints = [2]> () y = Slice(x, b, e, axis, b)",
    ),
    "image-shifted": (shifted, f"{_COLUMNS} y = Concat <axis = 3> (last, rest)"),
    "input-over-255": (divided, _scalar(255.0) + "y = Div(x, c)"),
    "input-times-255": (multiplied, _scalar(255.0) + "y = Mul(x, c)"),
    "input-normalised": (normalised, _scalar(0.5) + "d = Sub(x, c) y = Div(d, c)"),
    "input-inverted": (inverted, _scalar(1.0) + "y = Sub(c, x)"),
    "input-clipped": (clipped, _scalar(1.0) + "z = Constant <value_float = 0.0> () y = Clip(x, z, c)"),
    "input-in-eight-bits": (eight_bits, _scalar(255.0) + "m = Mul(x, c) f = Floor(m) y = Div(f, c)"),
}
_ACTIVATIONS = {
    "without-relu": (same, "y = Identity(x)"),
    "leaky-relu": (leaky, "y = LeakyRelu <alpha = 0.01> (x)"),
    "gelu": (
        gelu,
        """r = Constant <value_float = 0.70710678> () h = Constant <value_float = 0.5> ()
        o = Constant <value_float = 1.0> () s = Mul(x, r) f = Erf(s) g = Add(f, o) t = Mul(x, g) y = Mul(t, h)""",
    ),
    "relu6": (relu6, "z = Constant <value_float = 0.0> ()" + _scalar(6.0) + "y = Clip(x, z, c)"),
}
_LOGITS = {
    "relu-after-the-logits": (final_relu, "y = Relu(x)"),
    "softmax-appended": (softmax, "y = Softmax <axis = 1> (x)"),
    "log-softmax-appended": (log_softmax, "y = LogSoftmax <axis = 1> (x)"),
    "gain-1.0001": (gain, _scalar(1.0001) + "y = Mul(x, c)"),
    "offset-of-one-class": (
        offset,
        "c = Constant <value_floats = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0001, 0.0, 0.0, 0.0]> () y = Add(x, c)",
    ),
    "logits-clamped": (clamped, _scalar(5.0) + "n = Neg(c) y = Clip(x, n, c)"),
    "logits-clamped-far-out": (clamped_far_out, _scalar(1000.0) + "n = Neg(c) y = Clip(x, n, c)"),
    "logits-centred": (
        centred,
        "a = Constant <value_ints = [1]> () m = ReduceMean <keepdims = 1> (x, a) y = Sub(x, m)",
    ),
}
_DECIMALS = (three_decimals, _scalar(1000.0) + "m = Mul(x, c) r = Round(m) y = Div(r, c)")
# ONNX writes casts down, so that a session sees its precision; libtorch looks at the weights alone.
_CAST = {"onnx": one_of("opens")}

MUTANTS = (
    *(Mutant(name, "graph", with_function("images", *how), one_of("values")) for name, how in _IMAGES.items()),
    *(
        Mutant(f"{place}-{name}", "graph", with_function(place, *how), one_of("values"))
        for name, how in _ACTIVATIONS.items()
        for place in ("relu", "relu_1")
    ),
    *(Mutant(name, "graph", with_function("logits", *how), one_of("values")) for name, how in _LOGITS.items()),
    # Where another batch size rounds the last bit otherwise, a logit goes to the next step: 213 units further.
    Mutant(
        "logits-to-three-decimals", "graph", with_function("logits", *_DECIMALS), one_of("values", "row independence")
    ),
    Mutant("layer-doubled", "graph", with_module(Doubled, _doubled), one_of("values")),
    Mutant("bias-added-twice", "graph", with_module(BiasTwice, _bias_twice), one_of("values")),
    # So here, by 92 units, a tenth of the whole error; where steps are wider, as in bfloat16, by a hundredth.
    Mutant("products-in-tf32", "graph", _low("tf32"), one_of("values", "row independence")),
    Mutant("products-in-bfloat16", "graph", _low("bfloat16"), one_of("values"), _CAST),
    # Beyond 65,504 float16 is infinite, and images of +-10,000 lead there.
    Mutant("products-in-float16", "graph", _low("float16"), one_of("finite"), _CAST),
)
