"""What the makers of generated pages share."""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["write_or_check"]


def write_or_check(page: Path, made: str) -> None:
    """Write the page; with --check, end with a message instead if it is not what was made."""
    if "--check" not in sys.argv[1:]:
        page.write_text(made, encoding="utf-8")
    elif not page.exists() or page.read_text(encoding="utf-8") != made:
        sys.exit(f"{page} is not current")
