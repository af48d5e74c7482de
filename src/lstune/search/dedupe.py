"""A setting not tried before, near one that was."""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING, Any

from lstune.search.space import Space, canonical_key, sample_setting, setting_at, snap_setting

if TYPE_CHECKING:
    import numpy as np

__all__ = ["fresh_neighbour"]

_TRIES = 32
# A space of at most this many settings is listed in full when luck does not find what is left of it.
_LISTED = 200_000


def fresh_neighbour(
    space: Space, setting: dict[str, Any], taken: Set[str], rng: np.random.Generator
) -> dict[str, Any] | None:
    """A setting that is not `taken` and differs from `setting` in as few parameters as chance finds.

    None if the space holds no other setting (or none could be found in a space too large to list).
    """
    names = [name for name in space.searched if name in setting]
    for changes in range(1, len(names) + 1):
        for _ in range(_TRIES):
            other = sample_setting(space, rng)
            changed = set(rng.choice(names, size=changes, replace=False))
            # A parent that changes brings new children with it: these come from the random setting.
            mixed = {**other, **{k: v for k, v in setting.items() if k not in changed}}
            candidate = snap_setting(space, mixed)
            if canonical_key(candidate) not in taken:
                return candidate
    size = space.size
    if size is None or size > _LISTED:
        return None
    start = int(rng.integers(size))
    for k in range(size):
        candidate = setting_at(space, (start + k) % size)
        if canonical_key(candidate) not in taken:
            return candidate
    return None
