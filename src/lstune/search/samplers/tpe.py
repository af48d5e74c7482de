"""TPE: tree-structured Parzen estimators, Optuna's."""

from __future__ import annotations

from lstune.search.samplers._base import Sampler

__all__ = ["make_tpe"]


def make_tpe(startup_trials: int = 10, candidates: int = 24) -> Sampler:
    """Multivariate TPE (Bergstra et al. 2011; Falkner et al. 2018 for the joint density).

    Parameters that are active together are modelled together (`group`), and settings under way count as bad
    ones (`constant_liar`), so that parallel trials spread out.
    """
    from optuna.samplers import TPESampler

    from lstune.search.samplers._optuna import OptunaBackedSampler

    return OptunaBackedSampler(
        lambda seed: TPESampler(
            seed=seed,
            multivariate=True,
            group=True,
            constant_liar=True,
            n_startup_trials=startup_trials,
            n_ei_candidates=candidates,
        )
    )
