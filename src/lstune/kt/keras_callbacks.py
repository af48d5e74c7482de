"""The callbacks that a tuner adds where Keras itself trains: its hooks, a checkpoint of the best epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lstune.kt.checkpoint import save_checkpoint

if TYPE_CHECKING:
    from lstune.kt.engine_trial import EngineTrial
    from lstune.kt.trial import Trial
    from lstune.kt.tuner import Tuner

__all__ = ["make_callbacks"]


def make_callbacks(tuner: Tuner, trial: Trial, keeper: EngineTrial) -> list[Any]:
    """Keras callbacks for one execution of a trial. The engine does what they do by itself."""
    import keras

    class TunerCallback(keras.callbacks.Callback):
        """Calls the tuner's hooks."""

        lstune_follows = True

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            tuner.on_epoch_begin(trial, self.model, epoch, logs=logs)

        def on_batch_begin(self, batch: int, logs: Any = None) -> None:
            tuner.on_batch_begin(trial, self.model, batch, logs)

        def on_batch_end(self, batch: int, logs: Any = None) -> None:
            tuner.on_batch_end(trial, self.model, batch, logs)
            if tuner._over():
                self.model.stop_training = True

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            tuner.on_epoch_end(trial, self.model, epoch, logs=logs)

    class SaveBestEpoch(keras.callbacks.Callback):
        """Saves the weights of the best epoch of all executions."""

        lstune_follows = True

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if keeper.is_better(logs or {}):
                # All of it here: a training loop of the user's own may call no other hook.
                save_checkpoint(keeper.folder, self.model)
                # Of a fit before this one that the engine ran; it would be read first.
                (keeper.folder / "checkpoint.npz").unlink(missing_ok=True)

    return [TunerCallback(), SaveBestEpoch()]
