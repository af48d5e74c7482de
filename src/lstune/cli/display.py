"""The run's progress: a live table on a terminal, plain lines elsewhere. Everything goes to stderr."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TextIO

from lstune.cli.table import WIDTH, format_number, format_setting
from lstune.series import counted
from lstune.tuning.clock import format_seconds
from lstune.tuning.progress import Progress, Silent, Snapshot

__all__ = ["LiveProgress", "PlainProgress", "make_progress", "progress_line"]


def make_progress(stream: TextIO | None) -> Progress:
    """The display that suits the stream; a silent one for None, which Python has for a closed stderr."""
    if stream is None:
        return Silent()
    # A terminal that cannot move its cursor would show nothing of a table that is redrawn.
    able = stream.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown")
    return _UntilBroken(LiveProgress(stream) if able else PlainProgress(stream))


def progress_line(snapshot: Snapshot) -> str:
    """The search in one line of at most 80 columns."""
    parts = [_count(snapshot)]
    if snapshot.failed:
        parts.append(f"{snapshot.failed} failed")
    if snapshot.best is None:
        parts.append(f"naive {format_number(snapshot.naive)}")
    else:
        parts.append(f"best {format_number(snapshot.best)} against naive {format_number(snapshot.naive)}")
        parts.append(_gain(snapshot))
    if snapshot.left is not None:
        parts.append(f"{format_seconds(snapshot.left)} left")
    else:
        parts.append(format_seconds(snapshot.seconds))
    return ", ".join(parts)[:WIDTH]


def _count(snapshot: Snapshot) -> str:
    """The trials so far: "7 trials", or "7 of 20 trials"."""
    if snapshot.limit is None:
        return counted(snapshot.trials, "trial")
    return f"{snapshot.trials} of {counted(snapshot.limit, 'trial')}"


def _gain(snapshot: Snapshot) -> str:
    if not snapshot.best or not snapshot.naive:
        return "-"
    gain = 100 * (snapshot.best / snapshot.naive - 1)
    return f"{gain:+.1f} %"


class _UntilBroken(Progress):
    """A display that says no more once its stream is broken, for the run goes on.

    The terminal was closed, or who read the pipe has ended.
    """

    def __init__(self, display: Progress) -> None:
        self._display = display

    def note(self, text: str) -> None:
        """Pass a note on."""
        self._pass_on(lambda: self._display.note(text))

    def stage(self, text: str) -> None:
        """Pass a stage on."""
        self._pass_on(lambda: self._display.stage(text))

    def show(self, snapshot: Snapshot) -> None:
        """Pass a snapshot on."""
        self._pass_on(lambda: self._display.show(snapshot))

    def close(self) -> None:
        """Close the display."""
        self._pass_on(self._display.close)

    def _pass_on(self, call: Callable[[], None]) -> None:
        try:
            call()
        except OSError:
            broken, self._display = self._display, Silent()
            with suppress(OSError):
                broken.close()  # gives stdout back


class PlainProgress(Progress):
    """A line when the best improves, at most every `pause` seconds, and every `rest` seconds anyway."""

    def __init__(self, stream: TextIO, pause: float = 1.0, rest: float = 15.0) -> None:
        self.stream = stream
        self.pause = pause
        self.rest = rest
        self._best: float | None = None
        self._last = 0.0

    def note(self, text: str) -> None:
        """Print a note."""
        self._print(text)

    def stage(self, text: str) -> None:
        """Print the stage's name."""
        self._best = None
        self._print(f"{text} ...")

    def show(self, snapshot: Snapshot) -> None:
        """Print a line if it is due."""
        now = time.monotonic()
        better = snapshot.best is not None and (self._best is None or snapshot.best < self._best)
        if now - self._last >= (self.pause if better else self.rest) and snapshot.trials > 0:
            self._last = now
            self._best = snapshot.best
            self._print(f"  {progress_line(snapshot)}")

    def _print(self, text: str) -> None:
        print(text, file=self.stream, flush=True)


class LiveProgress(Progress):
    """A small table that is redrawn in place, by rich."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console

        self.console = Console(file=stream, highlight=False, emoji=False)
        self._live: Any = None
        self._stage = "Reading"

    def note(self, text: str) -> None:
        """Print a note above the table."""
        self.console.print(text, markup=False)

    def stage(self, text: str) -> None:
        """Change the table's title."""
        self._stage = text
        if self._live is not None:
            self._live.update(self._last, refresh=True)
        else:
            self.console.print(f"{text} ...", markup=False)

    def show(self, snapshot: Snapshot) -> None:
        """Redraw the table."""
        from rich.live import Live

        self._snapshot, self._shown = snapshot, time.monotonic()
        if self._live is None:
            self._live = Live(
                console=self.console, refresh_per_second=8, transient=True, get_renderable=self._render
            )
            self._live.start()

    @property
    def _last(self) -> Any:
        return self._render()

    def _render(self) -> Any:
        from rich.table import Table
        from rich.text import Text

        snapshot = self._snapshot
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(ratio=1)
        table.add_row(
            self._stage,
            f"{_count(snapshot)} done, {snapshot.running} running, {snapshot.failed} failed",
        )
        table.add_row("time", self._time(snapshot))
        if snapshot.best is not None:
            style = "green" if snapshot.best < snapshot.naive else "yellow"
            text = Text(f"{format_number(snapshot.best)}  ({_gain(snapshot)} to naive)", style=style)
            table.add_row("best error", text)
        table.add_row("naive error", format_number(snapshot.naive))
        if snapshot.best_setting:
            table.add_row("best setting", format_setting(snapshot.best_setting))
        return table

    def _time(self, snapshot: Snapshot) -> str:
        # After the search no more snapshots come, while the clock goes on.
        late = time.monotonic() - self._shown
        spent = format_seconds(snapshot.seconds + late)
        return spent if snapshot.left is None else f"{spent}, {format_seconds(snapshot.left - late)} left"

    def close(self) -> None:
        """Take the table away."""
        if self._live is not None:
            self._live.stop()
            self._live = None
