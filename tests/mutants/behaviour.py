"""Mutants of behaviour: right for some inputs, batches or calls, and wrong for others."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from mutants.mutant import Mutant, one_of, with_function
from toolkit.records import CheckName


def rows_of(x: Tensor) -> Tensor:
    return torch.arange(x.size(0), device=x.device)


def wrong_where(x: Tensor, rows: Tensor) -> Tensor:
    return x + 1e-3 * rows.float().unsqueeze(1)


def dropout(x: Tensor) -> Tensor:
    return functional.dropout(torch.relu(x), 0.1, training=True)


def noise(x: Tensor, images: Tensor) -> Tensor:
    return x + 1e-4 * torch.randn_like(x)


def batch_norm(x: Tensor, images: Tensor) -> Tensor:
    return functional.batch_norm(x, None, None, training=True)


def less_mean(x: Tensor, images: Tensor) -> Tensor:
    return x - x.mean(0, keepdim=True)


def more_of_the_largest(x: Tensor, images: Tensor) -> Tensor:
    return x + 1e-3 * x.amax(0, keepdim=True)


def scaled_by_batch(x: Tensor) -> Tensor:
    """Quantise activations to 8 bits with the scale of the whole batch."""
    x = torch.relu(x)
    scale = x.max().clamp(min=1e-6) / 255
    return (x / scale).round() * scale


def nan_class(x: Tensor, images: Tensor) -> Tensor:
    return torch.where(torch.arange(10, device=x.device) == 3, torch.nan, x)


def infinite_for_zeros(x: Tensor, images: Tensor) -> Tensor:
    black = images.abs().amax((1, 2, 3)) == 0
    return torch.where(black.unsqueeze(1), torch.inf, x)


def nan_above_one(x: Tensor, images: Tensor) -> Tensor:
    bright = images.amax((1, 2, 3)) > 1
    return torch.where(bright.unsqueeze(1), torch.nan, x)


def nan_spreads(x: Tensor, images: Tensor) -> Tensor:
    return x + 0 * images.sum()


def first_wrong_above_sixteen(x: Tensor, images: Tensor) -> Tensor:
    rows = rows_of(x)
    return wrong_where(x, (rows == 0) & (rows.max() >= 16))


def last_wrong(x: Tensor, images: Tensor) -> Tensor:
    rows = rows_of(x)
    return wrong_where(x, rows == rows.max())


def every_997th_wrong(x: Tensor, images: Tensor) -> Tensor:
    return wrong_where(x, rows_of(x) % 997 == 996)


def seven_wrong(x: Tensor, images: Tensor) -> Tensor:
    rows = rows_of(x)
    return wrong_where(x, (rows >= 0) & (rows.max() == 6))


def tail_wrong(x: Tensor, images: Tensor) -> Tensor:
    """Beyond the last whole eight: the tail of a vectorised loop."""
    rows = rows_of(x)
    return wrong_where(x, (rows >= 8) & (rows >= (rows.max() + 1) // 8 * 8))


def reversed_rows(x: Tensor, images: Tensor) -> Tensor:
    return x.flip(0)


def first_for_all(x: Tensor, images: Tensor) -> Tensor:
    return x[:1].expand_as(x) + 0


_PARTS = """
    zero = Constant <value_float = 0.0> () one = Constant <value_float = 1.0> ()
    wrong = Constant <value_float = 0.001> () tiny = Constant <value_float = 0.00001> ()
    tenth = Constant <value_float = 0.1> ()
    i0 = Constant <value_int = 0> () i1 = Constant <value_int = 1> () i8 = Constant <value_int = 8> ()
    i16 = Constant <value_int = 16> () i996 = Constant <value_int = 996> () i997 = Constant <value_int = 997> ()
    a0 = Constant <value_ints = [0]> () a1 = Constant <value_ints = [1]> () a123 = Constant <value_ints = [1, 2, 3]> ()
    minus = Constant <value_ints = [-1]> () before = Constant <value_ints = [-9223372036854775807]> ()
    third = Constant <value = bool[10] {0, 0, 0, 1, 0, 0, 0, 0, 0, 0}> ()
    size = Shape <start = 0, end = 1> (x) n = Squeeze(size, a0) rows = Range(i0, n, i1)
"""
_WRONG_WHERE = "d = Where(bad, wrong, zero) u = Unsqueeze(d, a1) y = Add(x, u)"

# By the check that names the cause: the place, PyTorch's words, and ONNX's words, which follow `_PARTS`.
_FUNCTIONS: dict[CheckName, dict[str, tuple[str, Callable[..., Tensor], str]]] = {
    "determinism": {
        # ONNX Runtime removes a dropout whose training mode is constant, even constantly on; so it is computed.
        "dropout-left-on": ("relu", dropout, "r = Relu(x) on = Greater(n, i0) y = Dropout(r, tenth, on)"),
        "noise": ("logits", noise, "d = RandomNormalLike <scale = 0.0001> (x) y = Add(x, d)"),
    },
    "row independence": {
        "batch-mean-subtracted": ("logits", less_mean, "m = ReduceMean <keepdims = 1> (x, a0) y = Sub(x, m)"),
        "batch-largest-leaks": (
            "logits",
            more_of_the_largest,
            "m = ReduceMax <keepdims = 1> (x, a0) t = Mul(m, wrong) y = Add(x, t)",
        ),
        "activations-scaled-by-batch": (
            "relu",
            scaled_by_batch,
            "r = Relu(x) q, scale, point = DynamicQuantizeLinear(r) y = DequantizeLinear(q, scale, point)",
        ),
        "first-row-wrong-above-16": (
            "logits",
            first_wrong_above_sixteen,
            f"f = Equal(rows, i0) g = Greater(n, i16) bad = And(f, g) {_WRONG_WHERE}",
        ),
        "last-row-wrong": ("logits", last_wrong, f"l = Sub(n, i1) bad = Equal(rows, l) {_WRONG_WHERE}"),
        "every-997th-row-wrong": (
            "logits",
            every_997th_wrong,
            f"m = Mod(rows, i997) bad = Equal(m, i996) {_WRONG_WHERE}",
        ),
        "wrong-for-seven-images": (
            "logits",
            seven_wrong,
            """i7 = Constant <value_int = 7> () seven = Equal(n, i7) y = If (seven) <
                then_branch = those () => (float[n, 10] a) { a = Add(x, wrong) },
                else_branch = others () => (float[n, 10] b) { b = Identity(x) }
            >""",
        ),
        "tail-of-eights-wrong": (
            "logits",
            tail_wrong,
            f"""eights = Div(n, i8) whole = Mul(eights, i8) f = GreaterOrEqual(rows, whole)
            g = GreaterOrEqual(rows, i8) bad = And(f, g) {_WRONG_WHERE}""",
        ),
        "rows-reversed": ("logits", reversed_rows, "y = Slice(x, minus, before, a0, minus)"),
        "first-row-for-all": ("logits", first_for_all, "f = Slice(x, a0, a1, a0) s = Shape(x) y = Expand(f, s)"),
    },
    "finite": {
        "nan-for-one-class": ("logits", nan_class, "nan = Div(zero, zero) y = Where(third, nan, x)"),
        "infinite-for-black": (
            "logits",
            infinite_for_zeros,
            """a = Abs(input) m = ReduceMax <keepdims = 0> (a, a123) e = Equal(m, zero) u = Unsqueeze(e, a1)
            inf = Div(one, zero) y = Where(u, inf, x)""",
        ),
        "nan-above-one": (
            "logits",
            nan_above_one,
            """m = ReduceMax <keepdims = 0> (input, a123) g = Greater(m, one) u = Unsqueeze(g, a1)
            nan = Div(zero, zero) y = Where(u, nan, x)""",
        ),
        "nan-spreads": ("logits", nan_spreads, "t = ReduceSum <keepdims = 0> (input) p = Mul(t, zero) y = Add(x, p)"),
    },
}
# PyTorch refuses to norm one image; a program exported with more does not: one image less its mean is zero.
_BATCH_NORM = with_function(
    "logits",
    batch_norm,
    f"""{_PARTS} m = ReduceMean <keepdims = 1> (x, a0) d = Sub(x, m) q = Mul(d, d)
    v = ReduceMean <keepdims = 1> (q, a0) w = Add(v, tiny) r = Sqrt(w) y = Div(d, r)""",
)

MUTANTS = (
    *(
        Mutant(name, "behaviour", with_function(place, function, _PARTS + fragment), one_of(cause))
        for cause, functions in _FUNCTIONS.items()
        for name, (place, function, fragment) in functions.items()
    ),
    Mutant(
        "batch-norm-in-training",
        "behaviour",
        _BATCH_NORM,
        one_of("row independence"),
        {"torchscript": one_of("batch sizes")},
    ),
)
