"""Where each weight lies in the engine's single flat vector, and the way to and from Keras' arrays.

The vector holds the layers in order. An LSTM's part is its recurrent kernel (U, 4U), its kernel (C, 4U) and,
with `use_bias`, its bias (4U,); a Dense layer's is its kernel (C, H) and its bias (H,); each row-major, gates
in the order i, f, c, o. The recurrent kernel comes first so that the whole part, read as one (U + C + 1, 4U)
matrix, gives all gates from one product with the row [h, x, 1]. Keras itself lists the kernel first. A
bidirectional LSTM's second direction follows the first, laid out alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lstune.engine.config import LSTM, Dense, LayerConfig, ModelConfig
from lstune.errors import ConfigError, explain

__all__ = [
    "Variable",
    "from_keras",
    "initial_weights",
    "input_widths",
    "parameter_count",
    "to_keras",
    "variables",
]

F32 = npt.NDArray[np.float32]

# Keras' own order of a layer's arrays.
_KERAS_ORDER = (
    "kernel",
    "recurrent_kernel",
    "bias",
    "backward_kernel",
    "backward_recurrent_kernel",
    "backward_bias",
)


@dataclass(frozen=True)
class Variable:
    """One weight array: `flat[offset : offset + size].reshape(shape)`.

    Keras clips, decays and saves by these arrays, so their borders matter beyond the layout.
    """

    name: str
    layer: int
    offset: int
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of entries."""
        return math.prod(self.shape)

    @property
    def stop(self) -> int:
        """One past the last entry in the flat vector."""
        return self.offset + self.size

    def of(self, flat: Any) -> Any:
        """This array as a view into the flat vector (P,)."""
        return flat[self.offset : self.stop].reshape(self.shape)


def input_widths(model: ModelConfig) -> tuple[int, ...]:
    """The width C of what each layer reads."""
    widths, width = [], model.input_size
    for layer in model.layers:
        widths.append(width)
        if isinstance(layer, LSTM):
            width = layer.width
        elif isinstance(layer, Dense):
            width = layer.units
    return tuple(widths)


def _shapes(layer: LayerConfig, width: int) -> list[tuple[str, tuple[int, ...]]]:
    shapes: list[tuple[str, tuple[int, ...]]] = []
    if isinstance(layer, LSTM):
        gates = 4 * layer.units
        shapes = [("recurrent_kernel", (layer.units, gates)), ("kernel", (width, gates))]
        if layer.use_bias:
            shapes.append(("bias", (gates,)))
        if layer.bidirectional:
            shapes += [(f"backward_{name}", shape) for name, shape in shapes]
    elif isinstance(layer, Dense):
        shapes = [("kernel", (width, layer.units))]
        if layer.use_bias:
            shapes.append(("bias", (layer.units,)))
    return shapes


def variables(model: ModelConfig) -> tuple[Variable, ...]:
    """All weight arrays in the order of the flat vector."""
    found, offset = [], 0
    for index, (layer, width) in enumerate(zip(model.layers, input_widths(model), strict=True)):
        for name, shape in _shapes(layer, width):
            found.append(Variable(name, index, offset, shape))
            offset += math.prod(shape)
    return tuple(found)


def parameter_count(model: ModelConfig) -> int:
    """P, the length of the flat vector."""
    return variables(model)[-1].stop


def initial_weights(model: ModelConfig, rng: np.random.Generator) -> F32:
    """Fresh weights (P,) from Keras' default initialisers; the generator moves on.

    Kernels are uniform with limit sqrt(6 / (fan in + fan out)) (Glorot & Bengio 2010), where an LSTM's fan
    out is 4U as in Keras; recurrent kernels are orthogonal (Saxe et al. 2014); biases are 0, and 1 for the
    forget gate with `unit_forget_bias` (Jozefowicz et al. 2015).
    """
    flat = np.zeros(parameter_count(model), np.float32)
    for variable in variables(model):
        array = variable.of(flat)
        layer = model.layers[variable.layer]
        if variable.name in ("kernel", "backward_kernel"):
            limit = math.sqrt(6.0 / sum(variable.shape))
            array[...] = rng.uniform(-limit, limit, variable.shape)
        elif variable.name.endswith("recurrent_kernel"):
            array[...] = _orthogonal(rng, *variable.shape)
        elif isinstance(layer, LSTM) and layer.unit_forget_bias:
            array[layer.units : 2 * layer.units] = 1.0
    return flat


def _orthogonal(rng: np.random.Generator, rows: int, columns: int) -> npt.NDArray[np.float64]:
    """A (rows, columns) matrix with orthonormal rows, uniform among such; rows <= columns."""
    q, r = np.linalg.qr(rng.standard_normal((columns, rows)))
    # The decomposition is unique, hence Q uniform, only with a positive diagonal of R.
    q *= np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return np.asarray(q.T)


def to_keras(model: ModelConfig, flat: Any) -> list[list[F32]]:
    """Each layer's arrays in Keras' order (kernel, recurrent kernel, bias), as copies; [] for Dropout."""
    flat = np.asarray(flat, np.float32)
    count = parameter_count(model)
    if flat.shape != (count,):
        raise ConfigError(explain(f"This model's weights are one vector of {count} numbers", flat.shape))
    layers: list[dict[str, F32]] = [{} for _ in model.layers]
    for variable in variables(model):
        layers[variable.layer][variable.name] = variable.of(flat).copy()
    return [[arrays[name] for name in _KERAS_ORDER if name in arrays] for arrays in layers]


def from_keras(model: ModelConfig, arrays: Sequence[Sequence[Any]]) -> F32:
    """The flat vector (P,) from each layer's arrays in Keras' order; the inverse of `to_keras`.

    Raises `ConfigError` where a number of arrays or a shape does not fit the model.
    """
    if len(arrays) != len(model.layers):
        raise ConfigError(explain(f"This model has {len(model.layers)} layers of weights", len(arrays)))
    flat = np.zeros(parameter_count(model), np.float32)
    known = variables(model)
    for index, given in enumerate(arrays):
        mine = {variable.name: variable for variable in known if variable.layer == index}
        ordered = [mine[name] for name in _KERAS_ORDER if name in mine]
        shapes = [variable.shape for variable in ordered]
        if [np.shape(array) for array in given] != shapes:
            received = str([np.shape(array) for array in given])
            raise ConfigError(explain(f"Layer {index} takes weights of the shapes {shapes}", received))
        for variable, array in zip(ordered, given, strict=True):
            variable.of(flat)[...] = array
    return flat
