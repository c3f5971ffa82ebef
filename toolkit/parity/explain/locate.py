"""Localisation: the first layer of the reference whose output an artifact does not have within the limit.

An artifact's nodes are not the layers: one may compute half a layer (MatMul, then Add) or two (a ReLU fused into
a product), or none (Flatten, Identity). So a layer counts as reached when some node has its output, whichever
that is, and a layer before one that is reached is taken for reached: the later one depends on it.
"""

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from toolkit.errors import first_line
from toolkit.fashion.model import Mlp
from toolkit.formats.libtorch import pin_precision
from toolkit.formats.prefix import Prefix
from toolkit.formats.session import call_session
from toolkit.formats.target import Target
from toolkit.parity.rules.tolerance import ROUNDING_UNIT, in_units, rounding_unit
from toolkit.records import DivergenceRecord
from toolkit.workload.images import Float32Array, Float64Array

_STACK = "linear_relu_stack"
_MOST_NODES_TOLD = 6


@dataclass(frozen=True)
class Layer:
    """What a layer of the reference gives for the images at hand.

    Attributes:
        name: As in the model: ``linear_relu_stack.0``.
        expected: Its output ``(N, width)`` float64.
        unit: Eager float32's own largest error there, on the same images.
    """

    name: str
    expected: Float64Array
    unit: float


@dataclass(frozen=True)
class _Node:
    """A node of the artifact that was run: what to call it, and its output, a row for each image if it has such."""

    label: str
    output: NDArray[Any]


def divergence(
    target: Target,
    model: Mlp,
    images: Float32Array,
    *,
    device: str,
    threads: int | None,
    limit_in_units: float,
    reshape: tuple[int, ...] = (1, 28, 28),
) -> DivergenceRecord:
    """Find the first layer of the reference that an artifact does not compute; the file is only read.

    Args:
        target: The artifact.
        model: The checkpoint's model, float32 on the CPU; not changed.
        images: The batch ``(N, 1, 28, 28)`` float32 on which values fail. It is run as it is, since a fault may
            depend on its size.
        device: Where the artifact fails.
        threads: For the sessions; None leaves it to the runtime.
        limit_in_units: Largest allowed error, in units of eager float32's own.
        reshape: Shape of one image as the artifact takes it, where its graph does not say.

    Returns:
        A record; ``layer`` is None, and the sentence says why, when no layer can be named.
    """
    layers = reference_layers(model, images)
    try:
        prefixes = target.prefixes(device, threads, reshape)
        return locate(prefixes, layers, images, limit_in_units)
    except Exception as error:  # noqa: BLE001  a graph that a runtime does not open in part is no reason to stop
        return DivergenceRecord(layer=None, detail=f"the layer could not be looked for: {first_line(error)}")


def reference_layers(model: Mlp, images: Float32Array) -> list[Layer]:
    """Run the reference layer by layer, in float64 and in float32.

    Args:
        model: The checkpoint's model, float32 on the CPU; not changed.
        images: ``(N, 1, 28, 28)`` float32.

    Returns:
        A layer for each module of the stack, in order. Its unit is never less than the rounding of its largest
        output to float32, and never zero.
    """
    pin_precision({torch.float32}, "cpu")  # the unit must be that of float32 itself
    layers: list[Layer] = []
    exact = copy.deepcopy(model).double()
    with torch.inference_mode():
        eager_output = model.flatten(torch.from_numpy(images))
        output = eager_output.double()
        pairs = zip(exact.linear_relu_stack, model.linear_relu_stack, strict=True)
        for number, (module, eager_module) in enumerate(pairs):
            output, eager_output = module(output), eager_module(eager_output)
            expected = output.numpy()
            with np.errstate(invalid="ignore"):  # infinity less infinity
                errors = np.abs(eager_output.double().numpy() - expected)
            judged = np.isfinite(errors).all(axis=1)  # eager itself overflows on the others
            layers.append(Layer(f"{_STACK}.{number}", expected, rounding_unit(errors[judged], expected[judged])))
    return layers


def locate(
    prefixes: Iterable[Prefix], layers: Sequence[Layer], images: Float32Array, limit_in_units: float
) -> DivergenceRecord:
    """Find the first layer that no node of an artifact computes within the limit.

    Args:
        prefixes: The artifact cut after each node, in order of execution; no more are taken than are needed.
        layers: What the reference gives for ``images``, in order.
        images: ``(N, 1, 28, 28)`` float32, run as one batch.
        limit_in_units: Largest allowed error, in units of each layer.

    Returns:
        A record. ``layer`` is None when every layer is reached, and when a node does not run.
    """
    place = 0  # of the first layer not reached yet
    last: _Node | None = None  # the node that reached the one before
    since: list[_Node] = []  # the nodes after it
    for prefix in prefixes:
        label = f"{prefix.operator} {prefix.name!r}"
        try:
            node = _Node(label, _rows(call_session(prefix.session, images), len(images)))
        except Exception as error:  # noqa: BLE001  whatever a runtime raises for good inputs is a finding
            detail = f"{_agreeing(layers[:place])}the artifact cut after node {label} fails: {first_line(error)}"
            return DivergenceRecord(layer=None, node=label, detail=detail)
        if node.output.dtype.kind != "f":
            continue
        reached = (at for at in range(place, len(layers)) if _ratio(node, layers[at]) <= limit_in_units)
        at = next(reached, None)
        if at is not None:
            place, last, since = at + 1, node, []
            continue
        since.append(node)
        if _passed(since, layers[place:]):
            break
    if place < len(layers):
        return _missing(layers[place], _agreeing(layers[:place]), last, since)
    return _after_the_last(layers, last, since, limit_in_units)


def _missing(layer: Layer, agreeing: str, last: _Node | None, since: list[_Node]) -> DivergenceRecord:
    """Describe a layer that no node reaches, by the node that comes nearest."""
    alike = [node for node in since if node.output.shape == layer.expected.shape]
    if not alike:
        shapes = [f"{node.label} {node.output.shape}" for node in since[:_MOST_NODES_TOLD]]
        found = ", ".join(shapes) + (", …" if len(since) > len(shapes) else "")
        after = f"after node {last.label}" if last else "in the artifact"
        detail = (
            f"{agreeing}{layer.name}, of shape {layer.expected.shape}, is nowhere {after}: found {found or 'no node'}"
        )
        return DivergenceRecord(layer=layer.name, detail=detail)
    nearest = min(alike, key=lambda node: _ratio(node, layer))
    detail = f"{agreeing}{layer.name} (node {nearest.label}) {_off(nearest, layer)}"
    return DivergenceRecord(
        layer=layer.name, node=nearest.label, error_ratio=_finite(_ratio(nearest, layer)), detail=detail
    )


def _after_the_last(
    layers: Sequence[Layer], last: _Node | None, since: list[_Node], limit_in_units: float
) -> DivergenceRecord:
    """Describe what follows when all layers are reached: nothing, or a node that changes the logits."""
    agreeing = _agreeing(layers)
    if last is None or not since or _ratio(since[-1], layers[-1]) <= limit_in_units:
        end = f" (node {(since or [last])[-1].label})" if last else ""
        return DivergenceRecord(layer=None, detail=f"{agreeing}nothing diverges up to the last node{end}")
    wrong = [node for node in since if not _ratio(node, layers[-1]) <= limit_in_units]
    # A branch beside the layers, such as a test of the input's range, has another shape and is not the place.
    first = next((node for node in wrong if node.output.shape == layers[-1].expected.shape), wrong[-1])
    if first.output.shape == layers[-1].expected.shape:
        off = _off(first, layers[-1])
    else:
        off = f"has shape {first.output.shape}, not {layers[-1].expected.shape}"
    detail = f"{agreeing}the difference is after the last layer: the output of node {first.label} {off}"
    ratio = _finite(_ratio(first, layers[-1]))
    return DivergenceRecord(layer=None, node=first.label, error_ratio=ratio, detail=detail)


def _passed(since: list[_Node], layers: Sequence[Layer]) -> bool:
    """Say whether the first of ``layers`` lies behind.

    It does when a node of its width did not have its output, and the last node has the width of a later layer
    and not its own. Between layers of the same width nothing tells, and the search goes on.
    """
    if not layers:
        return False
    shape = layers[0].expected.shape
    later = {layer.expected.shape for layer in layers} - {shape}
    return since[-1].output.shape in later and any(node.output.shape == shape for node in since)


def _rows(output: NDArray[Any], count: int) -> NDArray[Any]:
    """Return ``(N, width)`` for any output that has a first dimension of N, and others as they are."""
    return output.reshape(count, -1) if output.ndim > 1 and len(output) == count else output


def _ratio(node: _Node, layer: Layer) -> float:
    """Return the largest error in units of the layer; infinite for another shape and for what is not finite."""
    if node.output.shape != layer.expected.shape or not np.isfinite(node.output).all():
        return float("inf")
    error = np.abs(node.output.astype(np.float64) - layer.expected).max(initial=0.0)
    return float(error) / layer.unit


def _off(node: _Node, layer: Layer) -> str:
    ratio = _ratio(node, layer)
    if not np.isfinite(ratio):
        return "has NaN or infinite values"
    return f"is off by {in_units(ratio)} {ROUNDING_UNIT}"


def _finite(ratio: float) -> float | None:
    return ratio if np.isfinite(ratio) else None


def _agreeing(layers: Sequence[Layer]) -> str:
    """Return the clause that tells which layers agree, to be followed by another; empty for none."""
    names = [layer.name if at == 0 else f".{layer.name.rpartition('.')[2]}" for at, layer in enumerate(layers)]
    if len(names) > 2:
        return f"{names[0]} to {names[-1]} agree; "
    return f"{' and '.join(names)} agree{'s' if len(names) == 1 else ''}; " if names else ""
