"""Run the tutorials' scripts and write what they print into their pages.

    python tools/run_tutorials.py               # all, three minutes
    python tools/run_tutorials.py amzn demand   # some

A page includes a part of a script by a snippet line in a code block; what that part prints comes right after,
in a block of text that this tool writes anew.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PART = re.compile(r"^# --8<-- \[start:(\w+)\]\n(.*?)^# --8<-- \[end:\1\]\n", re.M | re.S)


def run(script: Path) -> dict[str, str]:
    """What each part of a script prints."""
    names: dict[str, object] = {"__name__": "__main__"}
    printed = {}
    for part, code in PART.findall(script.read_text(encoding="utf-8")):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(code, script.name, "exec"), names)
        printed[part] = out.getvalue().rstrip()
    return printed


def write(page: Path, script: str, printed: dict[str, str]) -> None:
    """Put the outputs behind their snippets."""
    text = page.read_text(encoding="utf-8")
    for part, output in printed.items():
        block = f"\n\n```text\n{output}\n```" if output else ""
        snippet = f'```python\n--8<-- "{script}:{part}"\n```'
        if snippet not in text:
            raise SystemExit(f"{page.name} does not show the part {part} of {script}")
        text = re.sub(
            re.escape(snippet) + r"(\n\n```text\n.*?\n```)?",
            lambda _, b=block, s=snippet: s + b,
            text,
            flags=re.S,
        )
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    from lstune.engine.warmup import warmup

    warmup()  # the first run's compilation is no part of what a tutorial shows
    wanted = sys.argv[1:] or sorted(path.stem for path in (ROOT / "docs" / "tutorials").glob("*.md"))
    for name in wanted:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            printed = run(ROOT / "examples" / f"{name}.py")
            os.chdir(ROOT)
        write(ROOT / "docs" / "tutorials" / f"{name}.md", f"{name}.py", printed)
