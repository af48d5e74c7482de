"""Trains LSTMs in compiled kernels; needs numpy and numba alone."""

from lstune.engine.config import (
    LSTM,
    Dense,
    Dropout,
    ModelConfig,
    OptimizerConfig,
    TrainConfig,
    lstm_model,
)
from lstune.engine.cores import available_cores
from lstune.engine.data import Windows
from lstune.engine.state import Status, StopFlag, TrainState, init_state
from lstune.engine.train import TrainResult, predict, train
from lstune.engine.warmup import is_compiled, warmup
from lstune.engine.weights import from_keras, initial_weights, parameter_count, to_keras, variables

__all__ = [
    "LSTM",
    "Dense",
    "Dropout",
    "ModelConfig",
    "OptimizerConfig",
    "Status",
    "StopFlag",
    "TrainConfig",
    "TrainResult",
    "TrainState",
    "Windows",
    "available_cores",
    "from_keras",
    "init_state",
    "initial_weights",
    "is_compiled",
    "lstm_model",
    "parameter_count",
    "predict",
    "to_keras",
    "train",
    "variables",
    "warmup",
]
