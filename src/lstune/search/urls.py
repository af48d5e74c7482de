"""Storage URLs without their secrets."""

from __future__ import annotations

import re

__all__ = [
    "HIDDEN",
    "hide_password",
    "hides_password",
    "is_url",
    "password_in",
    "sqlite_path",
    "without_password",
]

HIDDEN = "***"
# scheme://user:password@host/database?query, up to the last "@": whatever a password holds, rather too much
# is hidden than too little.
_USER = re.compile(r"([A-Za-z][\w+.-]*://[^:/@\s]*):(.*)@([^@]*)$", re.DOTALL)
# libpq and MySQL drivers take secrets from the query too.
_QUERY = re.compile(r"([?&][^=&]*(?:password|passwd|secret|token)[^=&]*=)([^&]*)", re.IGNORECASE)


def is_url(text: str) -> bool:
    """Whether a storage is named by a URL; it is the path of a journal file otherwise."""
    return "://" in text


def hide_password(url: str) -> str:
    """The URL with `***` in place of its password; unchanged if it has none."""
    return _QUERY.sub(rf"\1{HIDDEN}", _USER.sub(rf"\1:{HIDDEN}@\3", url))


def password_in(url: str) -> str | None:
    """The password as it stands in the URL."""
    match = _USER.match(url) or _QUERY.search(url)
    return match.group(2) if match else None


def sqlite_path(url: str) -> str | None:
    """The file of an SQLite URL; None for other databases."""
    return url.split("///", 1)[-1].split("?")[0] if url.startswith("sqlite") else None


def hides_password(url: str) -> bool:
    """Whether a password was taken out of the URL by `hide_password`."""
    return f":{HIDDEN}@" in url or f"={HIDDEN}" in url


def without_password(url: str) -> str:
    """The URL with no password at all, so that the driver looks for one (`~/.pgpass`, `PGPASSWORD`)."""
    return re.sub(rf"&?[^?=&]*={re.escape(HIDDEN)}", "", hide_password(url)).replace(f":{HIDDEN}@", "@", 1)
