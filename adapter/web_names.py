"""By what names and from which origins a web service may be called: checked, as a misspelt one lets nobody in."""

from __future__ import annotations

import re
from collections.abc import Sequence

_HOST = re.compile(r"\*|(?:[\w.-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?", re.ASCII | re.IGNORECASE)
_ORIGIN = re.compile(r"https?://(?:[\w.-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?", re.ASCII)


def check_web_names(allowed_hosts: Sequence[str], origins: Sequence[str]) -> None:
    """Check what a service's callers may send as `Host` and `Origin`.

    Args:
        allowed_hosts: `name`, `name:port`, or `*`.
        origins: `https://host` or `https://host:port`, as browsers send them: without a path.

    Raises:
        ValueError: When one is neither.
    """
    for host in allowed_hosts:
        if not _HOST.fullmatch(host):
            raise ValueError(
                f"An allowed host is `name`, `name:port` or `*`, without `https://` or a path, not {host!r}."
            )
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise ValueError(f"An origin is `https://host` or `https://host:port`, without a path, not {origin!r}.")
