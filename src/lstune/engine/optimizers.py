"""One optimizer step on the flat weights; formulae as in Keras 3 and `reference.optimizer_step`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lstune.engine._jit import kernel
from lstune.engine.config import OPTIMIZERS, OptimizerConfig

# Places in the vector of settings that kernels read.
(
    CODE,
    MOMENTUM,
    NESTEROV,
    RHO,
    CENTERED,
    BETA_1,
    BETA_2,
    EPSILON,
    DECAY,
    CLIP_NORM,
    CLIP_VALUE,
    GLOBAL_CLIP_NORM,
    SETTINGS,
) = range(13)

_SGD, _RMSPROP, _ADAM, _ADAMW, _NADAM = (
    OPTIMIZERS.index(name) for name in ("sgd", "rmsprop", "adam", "adamw", "nadam")
)


def settings_vector(config: OptimizerConfig) -> Any:
    """(SETTINGS,) float64; a clip that is not set is 0."""
    vector = np.zeros(SETTINGS)
    vector[CODE] = OPTIMIZERS.index(config.name)
    vector[MOMENTUM], vector[NESTEROV] = config.momentum, config.nesterov
    vector[RHO], vector[CENTERED] = config.rho, config.centered
    vector[BETA_1], vector[BETA_2], vector[EPSILON] = config.beta_1, config.beta_2, config.epsilon
    vector[DECAY] = config.decay
    vector[CLIP_NORM] = config.clipnorm or 0.0
    vector[CLIP_VALUE] = config.clipvalue or 0.0
    vector[GLOBAL_CLIP_NORM] = config.global_clipnorm or 0.0
    return vector


def slot_count(config: OptimizerConfig) -> int:
    """How many vectors of the weights' length the optimizer keeps."""
    if config.name == "sgd":
        return 1 if config.momentum > 0 else 0
    return 3 if config.name == "rmsprop" else 2


@kernel
def _norm(gradient, start, stop):
    total = 0.0
    part = gradient[start:stop]
    for i in range(len(part)):
        total += float(part[i]) * float(part[i])
    return math.sqrt(total)


@kernel
def _scale(gradient, start, stop, limit):
    norm = _norm(gradient, start, stop)
    if norm > limit:
        factor = np.float32(limit / norm)
        part = gradient[start:stop]
        for i in range(len(part)):
            part[i] *= factor


@kernel
def clip(gradient, segments, settings):
    """Clip in place: by value, by the whole norm, or by each weight array's norm. A NaN stays a NaN."""
    if settings[CLIP_VALUE] > 0.0:
        limit = np.float32(settings[CLIP_VALUE])
        for i in range(len(gradient)):
            g = gradient[i]
            g = limit if g > limit else g
            gradient[i] = -limit if g < -limit else g
    elif settings[GLOBAL_CLIP_NORM] > 0.0:
        _scale(gradient, 0, len(gradient), settings[GLOBAL_CLIP_NORM])
    elif settings[CLIP_NORM] > 0.0:
        for index in range(len(segments)):
            _scale(gradient, segments[index, 0], segments[index, 1], settings[CLIP_NORM])


@kernel
def _sgd(theta, gradient, slots, rate, momentum, nesterov):
    rate = np.float32(rate)
    if momentum == 0.0:
        for i in range(len(theta)):
            theta[i] -= rate * gradient[i]
        return
    mu = np.float32(momentum)
    velocity = slots[0]
    for i in range(len(theta)):
        v = mu * velocity[i] - rate * gradient[i]
        velocity[i] = v
        theta[i] += mu * v - rate * gradient[i] if nesterov else v


@kernel
def _rmsprop(theta, gradient, slots, rate, rho, momentum, centered, epsilon):
    rate, rho, mu, epsilon = np.float32(rate), np.float32(rho), np.float32(momentum), np.float32(epsilon)
    rest = np.float32(1.0) - rho
    velocity, average, moving = slots[0], slots[1], slots[2]
    for i in range(len(theta)):
        g = gradient[i]
        v = rho * velocity[i] + rest * g * g
        velocity[i] = v
        denominator = v + epsilon
        if centered:
            a = rho * average[i] + rest * g
            average[i] = a
            denominator -= a * a
        change = rate * g / np.sqrt(denominator)
        if mu > np.float32(0.0):
            change += mu * moving[i]
            moving[i] = change
        theta[i] -= change


@kernel
def _adam(theta, gradient, slots, rate, step, beta_1, beta_2, epsilon):
    # The bias corrections fold into the rate (Kingma & Ba 2015, end of section 2).
    alpha = np.float32(rate * math.sqrt(1.0 - beta_2**step) / (1.0 - beta_1**step))
    rest_1, rest_2, epsilon = np.float32(1.0 - beta_1), np.float32(1.0 - beta_2), np.float32(epsilon)
    first, second = slots[0], slots[1]
    for i in range(len(theta)):
        g = gradient[i]
        m = first[i] + (g - first[i]) * rest_1
        v = second[i] + (g * g - second[i]) * rest_2
        first[i] = m
        second[i] = v
        theta[i] -= alpha * m / (np.sqrt(v) + epsilon)


@kernel
def _nadam(theta, gradient, slots, rate, step, beta_1, beta_2, epsilon):
    # The product of the momentum schedule (Dozat 2016) up to this step is a function of the step, no state.
    product, power = 1.0, 1.0
    for _ in range(step):
        power *= 0.96
        product *= beta_1 * (1.0 - 0.5 * power)
        if product < 1e-12:  # below what float32 can tell from 0 in 1 - product
            product = 0.0
            break
    now = beta_1 * (1.0 - 0.5 * 0.96**step)
    following = beta_1 * (1.0 - 0.5 * 0.96 ** (step + 1))
    on_moment = np.float32(rate * following / (1.0 - product * following))
    on_gradient = np.float32(rate * (1.0 - now) / (1.0 - product))
    on_second = np.float32(1.0 / (1.0 - beta_2**step))
    rest_1, rest_2, epsilon = np.float32(1.0 - beta_1), np.float32(1.0 - beta_2), np.float32(epsilon)
    first, second = slots[0], slots[1]
    for i in range(len(theta)):
        g = gradient[i]
        m = first[i] + (g - first[i]) * rest_1
        v = second[i] + (g * g - second[i]) * rest_2
        first[i] = m
        second[i] = v
        theta[i] -= (on_moment * m + on_gradient * g) / (np.sqrt(v * on_second) + epsilon)


@kernel
def optimizer_step(theta, gradient, slots, settings, segments, rate, step):
    """Clip, decay, update, in place. `step` counts from 1; slots: (slot_count, P) float32."""
    clip(gradient, segments, settings)
    if settings[DECAY] > 0.0:
        keep = np.float32(1.0 - rate * settings[DECAY])
        for i in range(len(theta)):
            theta[i] *= keep
    code = int(settings[CODE])
    if code == _SGD:
        _sgd(theta, gradient, slots, rate, settings[MOMENTUM], settings[NESTEROV] > 0.0)
    elif code == _RMSPROP:
        _rmsprop(
            theta, gradient, slots, rate, settings[RHO], settings[MOMENTUM],
            settings[CENTERED] > 0.0, settings[EPSILON],
        )  # fmt: skip
    elif code == _NADAM:
        _nadam(theta, gradient, slots, rate, step, settings[BETA_1], settings[BETA_2], settings[EPSILON])
    else:
        _adam(theta, gradient, slots, rate, step, settings[BETA_1], settings[BETA_2], settings[EPSILON])
