"""What a sampler is given and what it returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lstune.search.records import TrialRecord
from lstune.search.space import Space

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Context", "Sampler", "Suggestion"]


@dataclass(frozen=True)
class Context:
    """All that a suggestion may depend on.

    `trials` are all earlier trials, running and paused ones included; `max_epochs` is the fidelity that
    counts. `attempt` is above 0 when an earlier suggestion for this number was a setting already tried;
    `taken` holds the canonical keys of those.
    """

    space: Space
    seed: int
    number: int
    trials: Sequence[TrialRecord]
    max_epochs: int
    attempt: int = 0
    taken: Set[str] = frozenset()

    def rng(self) -> np.random.Generator:
        """A generator that depends on seed, number and attempt alone."""
        import numpy as np

        return np.random.default_rng(np.random.SeedSequence([self.seed, self.number, self.attempt]))

    def int_seed(self) -> int:
        """The same as one number below 2**31, for libraries that want it so."""
        import numpy as np

        state = np.random.SeedSequence([self.seed, self.number, self.attempt]).generate_state(1)
        return int(state[0] >> 1)


@dataclass(frozen=True)
class Suggestion:
    """A setting, and what the sampler wants to find in the trial's `memo` later."""

    setting: dict[str, Any]
    memo: dict[str, Any] = field(default_factory=dict)


class Sampler(ABC):
    """Base of all samplers.

    An instance may cache, but its suggestions are a function of the context alone: a fresh instance in
    another process suggests the same.
    """

    @abstractmethod
    def suggest(self, context: Context) -> Suggestion | None:
        """A setting for the trial `context.number`; None if the sampler has no more to give."""
