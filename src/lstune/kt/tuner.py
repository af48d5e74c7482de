"""Tuner: builds Keras models and has them trained, by the engine where it can, by Keras where not."""

from __future__ import annotations

import contextlib
import copy
import gc
import logging
import math
import os
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lstune.engine.cores import available_cores
from lstune.errors import explain
from lstune.kt.base_tuner import BaseTuner
from lstune.kt.checkpoint import WEIGHTS_FILE, build_optimizer, has_checkpoint, load_checkpoint
from lstune.kt.engine_trial import EngineTrial, FitCall
from lstune.kt.errors import FailedTrialError, FatalTypeError, FatalValueError, SearchOver
from lstune.kt.hypermodel import HyperModel, build_model
from lstune.kt.hyperparameters import HyperParameters
from lstune.kt.isolation import Isolation, resident_mib
from lstune.kt.keras_settings import KerasSettings, name_anew
from lstune.kt.oracle import Oracle
from lstune.kt.results import validate_results
from lstune.kt.series import SeriesWindows
from lstune.kt.translate import Untranslatable, translate_fit
from lstune.kt.trial import Trial, TrialStatus

__all__ = ["Tuner", "maybe_distribute"]

log = logging.getLogger("lstune.kt")

_BROADCAST = (
    "The model returns a sequence but each window has one target: as in Keras, every step is trained towards "
    "that same value. return_sequences=False on the last LSTM trains the last step alone."
)
_FLAT = (
    "The model returns a sequence and y has the shape (N,): as in Keras, each output is compared with the "
    "targets of all windows of its batch, which trains every window towards the batch's mean. Give "
    "y[:, None], or take return_sequences=False on the last LSTM to train the last step alone."
)
_ENGINES = ("auto", "lstune", "keras")
_HOOKS = ("on_epoch_begin", "on_epoch_end", "on_batch_begin", "on_batch_end")
# Those of one's own may count on one trial after the other.
_TRIAL_HOOKS = ("pre_create_trial", "on_trial_begin", "on_trial_end")
# So much more than after the first model that Keras trained is worth a word.
_GROWTH_MIB = 300.0
# What a trial may leave in its folder beside trial.json.
_TRIAL_FILES = (
    "checkpoint.npz", "state.npz", "progress.npz", "executions.json", WEIGHTS_FILE,
)  # fmt: skip
# Building and Keras' own training are not made for two threads; the engine's training is.
_keras_lock = threading.RLock()
# Guards what has been said: two trials may find the same reason at the same moment.
_reasons_lock = threading.Lock()


class _NeedsKeras(Exception):
    """This model is for Keras to train, in a process of its own (never seen by users)."""


@contextlib.contextmanager
def maybe_distribute(distribution_strategy: Any) -> Iterator[None]:
    """Inside the strategy's scope, if there is one."""
    with contextlib.nullcontext() if distribution_strategy is None else distribution_strategy.scope():
        yield


class Tuner(BaseTuner):
    """A tuner of Keras models.

    optimizer, loss, metrics: replace what the model is compiled with.  max_model_size: trials with more
    weights fail.  executions_per_trial: trainings of each setting; the mean of their scores counts.
    keep_checkpoints: how many of the best trials keep their trained weights on disk (lstune's own).
    distribution_strategy: TensorFlow's; such models are trained by Keras.
    """

    def __init__(
        self,
        oracle: Oracle,
        hypermodel: Any = None,
        max_model_size: int | None = None,
        optimizer: Any = None,
        loss: Any = None,
        metrics: Any = None,
        distribution_strategy: Any = None,
        directory: Any = None,
        project_name: str | None = None,
        logger: Any = None,
        tuner_id: str | None = None,
        overwrite: bool = False,
        executions_per_trial: int = 1,
        keep_checkpoints: int = 10,
        **kwargs: Any,
    ) -> None:
        if hypermodel is None and type(self).run_trial is Tuner.run_trial:
            rule = "hypermodel may be left out only if run_trial is your own"
            raise ValueError(explain(rule, None, "Pass build(hp) or a kt.HyperModel"))
        self.max_model_size = max_model_size
        self.optimizer, self.loss, self.metrics = optimizer, loss, metrics
        self.distribution_strategy = distribution_strategy
        self.executions_per_trial = executions_per_trial
        self.keep_checkpoints = keep_checkpoints
        self.engine = "auto"
        self._keras_was_used = False
        self._warned_of_broadcast = False
        self._reasons: set[str] = set()
        self._said: set[str] = set()
        self._isolation: Isolation | None = None
        self._keras_settings: KerasSettings | None = None
        self._first_mib: float | None = None
        self._told_of_memory = False
        named = {"logger": logger, "tuner_id": tuner_id}
        super().__init__(oracle, hypermodel, directory, project_name, overwrite, **named, **kwargs)
        if distribution_strategy is not None:
            log.warning("a distribution strategy is in force: Keras trains all models, one after the other")

    # --- Searching ---

    def search(self, *fit_args: Any, **fit_kwargs: Any) -> None:
        """Search; arguments are those of `fit`, and besides:

        engine: "auto" trains with lstune's engine what it knows and the rest with Keras, "lstune" takes what
        it does not know for an error, "keras" leaves all to Keras.  budget: a time such as "10m".
        workers: trials at a time; two where the engine trains and there are two cores.  isolate: with True
        whatever Keras trains is built and trained in processes of their own, which are renewed when they
        grow, so that a long search keeps its memory; a crash there is a failed trial and no more. Callbacks
        and a HyperModel's `fit` act in those processes too. Needs arguments that can be pickled.
        """
        self.engine = fit_kwargs.pop("engine", "auto")
        if self.engine not in _ENGINES:
            raise ValueError(explain(f"engine must be one of {', '.join(_ENGINES)}", self.engine))
        isolate = fit_kwargs.pop("isolate", False)
        if isolate and self.distribution_strategy is not None:
            rule = "A distribution strategy lives in one process and cannot be isolated"
            raise ValueError(explain(rule, "isolate=True", "Leave one of the two out"))
        self._isolation = Isolation() if isolate else None
        self._keras_settings = settings = KerasSettings.here()
        try:
            super().search(*fit_args, **fit_kwargs)
        finally:
            self._keras_settings = None
            if settings is not None:
                # A session that a trial cleared took them from this thread too.
                settings.apply()
            if self._isolation is not None:
                self._isolation.close()
                self._isolation = None

    def _begin_work(self) -> None:
        if self._keras_settings is not None:
            self._keras_settings.apply()

    def _fail(self, error: BaseException) -> None:
        super()._fail(error)
        isolation = self._isolation
        if isolation is not None:
            isolation.close()

    def _workers(self, asked: int | None) -> int:
        plain = type(self).run_trial in _plain_run_trials() and not self._own_fit()
        plain = plain and not self._own_hooks((*_HOOKS, *_TRIAL_HOOKS))
        if asked is not None or self.engine == "keras" or not plain:
            return super()._workers(asked)
        return min(2, available_cores())

    def _own_hooks(self, names: tuple[str, ...]) -> list[str]:
        """Those of these methods that a subclass of the user's own has written."""
        return [name for name in names if getattr(type(self), name) is not getattr(Tuner, name)]

    def _own_fit(self) -> bool:
        """Whether the hypermodel trains in its own way."""
        return self.hypermodel is not None and type(self.hypermodel).fit is not HyperModel.fit

    def run_trial(self, trial: Trial, *fit_args: Any, **fit_kwargs: Any) -> Any:
        """Build and train the trial's model, `executions_per_trial` times; returns their histories."""
        callbacks = fit_kwargs.pop("callbacks", None) or []
        if fit_args and isinstance(fit_args[0], SeriesWindows):
            train, validation = fit_args[0].for_trial(trial.hyperparameters)
            fit_args = (*train, *fit_args[1:])
            fit_kwargs.setdefault("validation_data", validation)
        if not self._own_fit():
            # Tuned by being named, where Keras Tuner needs a HyperModel.fit for it.
            values = trial.hyperparameters.values
            if "batch_size" in values:
                fit_kwargs["batch_size"] = values["batch_size"]
            if "epochs" in values and "tuner/epochs" not in values:
                fit_kwargs["epochs"] = values["epochs"]
            elif "epochs" in values:
                self._note_once(
                    "Hyperband itself sets the epochs of a trial: the hyperparameter 'epochs' is not used"
                )
        keeper, call = EngineTrial(self, trial), FitCall(callbacks, fit_args, fit_kwargs)
        results = keeper.finished(trial)[: self.executions_per_trial]
        for execution in range(len(results), self.executions_per_trial):
            keeper.begin(execution)
            results.append(self._execute(trial, keeper, call))
            if len(results) < self.executions_per_trial:
                keeper.keep_finished(trial, results)
        keeper.forget_finished()
        return results

    def _execute(self, trial: Trial, keeper: EngineTrial, call: FitCall) -> Any:
        """One training of the trial: here, or in a process of its own what Keras trains under isolation."""
        isolation = self._isolation
        if isolation is None:
            return self._train_here(trial, keeper, call)
        # A fit of the user's own cannot be begun here and ended elsewhere: it goes as a whole.
        if self.engine != "keras" and not self._own_fit():
            with contextlib.suppress(_NeedsKeras):
                return self._train_here(trial, keeper, call)
        return isolation.run(self, trial, keeper, call)

    def _train_here(self, trial: Trial, keeper: EngineTrial, call: FitCall) -> Any:
        own = _copied(call.callbacks)
        self._configure_tensorboard_dir(own, trial, keeper.execution)
        own += self._keras_callbacks(trial, keeper)
        return self._build_and_fit_model(trial, *call.args, **call.kwargs, callbacks=own, _keeper=keeper)

    def _build_and_fit_model(self, trial: Trial, *args: Any, **kwargs: Any) -> Any:
        keeper = kwargs.pop("_keeper", None) or EngineTrial(self, trial)
        hp = trial.hyperparameters
        assert self.hypermodel is not None
        with _keras_lock:
            model = self._try_build(hp)
            settings = KerasSettings.here()
        model.fit = self._fit_of(model, trial, keeper, settings)
        results = self.hypermodel.fit(hp, model, *args, **kwargs)
        validate_results(results, self.oracle.objective, "HyperModel.fit()")
        return results

    def _fit_of(self, model: Any, trial: Trial, keeper: EngineTrial, settings: KerasSettings | None) -> Any:
        """What stands for `model.fit`: the engine's training, or Keras' with the reason."""
        own_fit = model.fit

        def keras_fit(*args: Any, **kwargs: Any) -> Any:
            if settings is not None:
                # Another trial may have been built since this one was, and have cleared the session.
                settings.restore()
            return own_fit(*args, **kwargs)

        def fit(*args: Any, **kwargs: Any) -> Any:
            try:
                with _keras_lock:
                    translated = self._translate(model, args, kwargs)
            except Untranslatable as reason:
                return self._fit_with_keras(keras_fit, trial, keeper, str(reason), args, kwargs)
            trial.engine = "lstune"
            outcome = keeper.train(translated, trial)
            if self._own_fit():
                # The hypermodel may go on to use the model.
                with _keras_lock:
                    keeper.write_back(translated, model, outcome)
            return _history(model, translated, outcome)

        return fit

    def _translate(self, model: Any, args: Any, kwargs: Any) -> Any:
        if self.engine == "keras":
            raise Untranslatable("engine='keras' was asked for")
        if self.distribution_strategy is not None:
            raise Untranslatable("a distribution strategy")
        if own := self._own_hooks(_HOOKS):
            raise Untranslatable(f"the tuner's own {', '.join(own)}")
        translated = translate_fit(model, args, kwargs)
        size = sum(math.prod(v.shape) for v in _variables(translated))
        if self.max_model_size and size > self.max_model_size:
            raise FailedTrialError(
                f"The model has {size} weights, above max_model_size={self.max_model_size}"
            )
        if translated.broadcast and not self._warned_of_broadcast:
            self._warned_of_broadcast = True
            warnings.warn(_FLAT if translated.flat else _BROADCAST, stacklevel=2)
        return translated

    def _fit_with_keras(
        self, keras_fit: Any, trial: Trial, keeper: EngineTrial, reason: str, args: Any, kwargs: Any
    ) -> Any:
        if self.engine == "lstune":
            raise FatalValueError(explain("engine='lstune' trains only what the engine knows", reason))
        trial.engine = f"keras ({reason})"
        self._note_reasons({reason})
        if self._isolation is not None:
            raise _NeedsKeras
        if self._failure is not None:
            raise SearchOver
        with _keras_lock:
            self._keras_was_used = True
            results = keras_fit(*args, **kwargs)
            self._note_memory()
            return results

    def _note_memory(self) -> None:
        """Say once that what Keras leaves behind can be had back."""
        now = resident_mib()
        if now is None or self._told_of_memory:
            return
        if self._first_mib is None:
            self._first_mib = now
        if now - self._first_mib > _GROWTH_MIB:
            self._told_of_memory = True
            log.warning(
                "memory has grown by %.0f MiB since Keras trained its first model here; "
                "search(..., isolate=True) trains in processes that are renewed when they grow",
                now - self._first_mib,
            )

    def _note_reasons(self, reasons: set[str]) -> None:
        """Say once each why Keras trains and not the engine."""
        with _reasons_lock:
            self._reasons |= reasons
        for reason in sorted(reasons):
            self._note_once(f"Keras trains this model, not lstune's engine: {reason}")

    def _note_once(self, text: str) -> None:
        """Warn, if this search has not said so before."""
        with _reasons_lock:
            new = text not in self._said
            self._said.add(text)
        if new:
            log.warning("%s", text)

    # --- Building ---

    def _try_build(self, hp: HyperParameters) -> Any:
        import keras

        settings = self._keras_settings or KerasSettings.here()
        if self._keras_was_used:
            # What Keras leaves behind after training is most of what a long search would otherwise pile up.
            keras.utils.clear_session()
            gc.collect()
            self._keras_was_used = False
        if settings is not None:
            # Also where another thread cleared the session, which is every thread's.
            settings.apply()
        name_anew()
        model = self._build_hypermodel(hp)
        if not isinstance(model, keras.Model):
            rule = "The function that builds, or HyperModel.build, must return a compiled keras.Model"
            raise FatalTypeError(explain(rule, repr(model)))
        size = sum(math.prod(v.shape) for v in model.trainable_weights) if model.built else 0
        if self.max_model_size and size > self.max_model_size:
            raise FailedTrialError(
                f"The model has {size} weights, above max_model_size={self.max_model_size}"
            )
        return model

    def _build_hypermodel(self, hp: HyperParameters) -> Any:
        if self.hypermodel is None:
            rule = "Models come from a hypermodel, which this tuner was made without"
            raise ValueError(explain(rule, None, "Pass build(hp), or take get_best_hyperparameters()"))
        with maybe_distribute(self.distribution_strategy):
            model = build_model(self.hypermodel, hp)
            self._override_compile_args(model)
        return model

    def _build_to_explore(self, hp: HyperParameters) -> None:
        with _keras_lock, maybe_distribute(self.distribution_strategy):
            super()._build_to_explore(hp)

    def _override_compile_args(self, model: Any) -> None:
        if not (self.optimizer or self.loss or self.metrics):
            return
        import keras

        optimizer = self.optimizer or model.optimizer
        if self.optimizer is not None and not isinstance(self.optimizer, str):
            # An optimizer belongs to one model.
            optimizer = keras.optimizers.deserialize(keras.optimizers.serialize(self.optimizer))
        compiled = getattr(model, "_compile_metrics", None)
        metrics = self.metrics or (getattr(compiled, "_user_metrics", None) if compiled is not None else None)
        model.compile(optimizer=optimizer, loss=self.loss or model.loss, metrics=metrics)

    # --- Keras' own training: checkpoints and the subclass' hooks ---

    def _keras_callbacks(self, trial: Trial, keeper: EngineTrial) -> list[Any]:
        from lstune.kt.keras_callbacks import make_callbacks

        return make_callbacks(self, trial, keeper)

    def _configure_tensorboard_dir(self, callbacks: Any, trial: Trial, execution: int = 0) -> None:
        """Give each execution of a trial its own log directory, as Keras Tuner lays them out."""
        for callback in callbacks:
            if type(callback).__name__ == "TensorBoard":
                # No Path: it would spoil gs://...
                callback.log_dir = os.path.join(callback.log_dir, trial.trial_id, f"execution{execution}")

    def on_epoch_begin(self, trial: Trial, model: Any, epoch: int, logs: Any = None) -> None:
        """For subclasses; one of their own makes Keras train."""

    def on_epoch_end(self, trial: Trial, model: Any, epoch: int, logs: Any = None) -> None:
        """For subclasses; one of their own makes Keras train."""

    def on_batch_begin(self, trial: Trial, model: Any, batch: int, logs: Any = None) -> None:
        """For subclasses; one of their own makes Keras train."""

    def on_batch_end(self, trial: Trial, model: Any, batch: int, logs: Any = None) -> None:
        """For subclasses; one of their own makes Keras train."""

    # --- Trained models ---

    def load_model(self, trial: Trial) -> Any:
        """The trial's model, built, compiled and with the weights of its best epoch."""
        folder = Path(self.get_trial_dir(trial.trial_id))
        with _keras_lock:
            model = self._try_build(trial.hyperparameters)
            if EngineTrial.load_weights(folder, model):
                # Keras does not read back a model that was saved before its optimizer was built.
                build_optimizer(model)
            elif has_checkpoint(folder):
                load_checkpoint(folder, model)
            else:
                raise ValueError(self._why_no_weights(trial))
            return model

    def _why_no_weights(self, trial: Trial) -> str:
        if trial.status != TrialStatus.COMPLETED:
            received = f"trial {trial.trial_id}, which is {trial.status}"
            return explain("Only a completed trial has weights", received, "Its message says why")
        if trial.trial_id in {
            best.trial_id for best in self.oracle.get_best_trials(max(self.keep_checkpoints, 1))
        }:
            rule = "A trial's weights are saved when a callback of its fit is told the end of an epoch"
            fix = (
                "HyperModel.fit shall hand its callbacks to model.fit, or call their set_model and "
                "on_epoch_end; a run_trial of your own saves weights to _get_checkpoint_fname(trial_id)"
            )
            return explain(rule, f"trial {trial.trial_id}, which left none", fix)
        fix = "Raise keep_checkpoints, or train it again with get_best_hyperparameters()"
        return explain("Only the best trials keep their weights", trial.trial_id, fix)

    def _get_checkpoint_fname(self, trial_id: str) -> str:
        """Where a `run_trial` of one's own saves the weights that `load_model` reads."""
        return str(Path(self.get_trial_dir(trial_id)) / WEIGHTS_FILE)

    def on_trial_end(self, trial: Trial) -> None:
        """Give the trial back, and drop the checkpoints of trials that are no longer among the best."""
        super().on_trial_end(trial)
        keep = {best.trial_id for best in self.oracle.get_best_trials(max(self.keep_checkpoints, 1))}
        keep |= self._still_needed()
        # Only what the oracle has taken back: another thread's trial may be trained and not yet scored.
        for trial_id in self.oracle.end_order:
            if trial_id not in keep:
                folder = Path(self.project_dir) / f"trial_{trial_id}"
                for name in _TRIAL_FILES:
                    (folder / name).unlink(missing_ok=True)

    def _keeps_states(self) -> bool:
        """Whether other trials may go on from this tuner's trials."""
        return False

    def _still_needed(self) -> set[str]:
        """Trials whose state may yet be gone on from."""
        return set()

    def _resumed_from(self, trial: Trial) -> Path | None:
        """The folder of the trial that this one goes on from."""
        return None


def _plain_run_trials() -> tuple[Any, ...]:
    from lstune.kt.tuners import Hyperband

    return (Tuner.run_trial, Hyperband.run_trial)


def _variables(translated: Any) -> Any:
    from lstune.engine.weights import variables

    return variables(translated.chain.model)


def _copied(callbacks: Any) -> list[Any]:
    given = list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
    try:
        return copy.deepcopy(given)
    except Exception as error:
        rule = "Callbacks of a search are copied for each trial"
        raise FatalValueError(explain(rule, f"{given} ({error})")) from error


def _history(model: Any, fit: Any, outcome: Any) -> Any:
    import keras

    history = keras.callbacks.History()
    history.history, history.epoch = outcome.history, outcome.epochs
    steps = math.ceil(len(fit.train.starts) / fit.config.batch_size)
    history.params = {"verbose": 0, "epochs": fit.config.epochs, "steps": steps}
    history.set_model(model)
    # As Keras leaves its model.
    model.history, model.stop_training = history, outcome.progress.stop_training
    return history
