"""A clock that moves when it is looked at, for tests that must not depend on how fast the machine is."""


class Clock:
    """Moves on by a second at every look."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 1.0
        return self.now
