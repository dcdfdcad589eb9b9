"""Helpers for testing framework workflows on Temporal; needs the extra `dev`.

The public names are listed in `__init__.pyi` and imported on first use: every pytest of an environment that has this
package imports it, for the fixtures in `pytest_plugin`, and most of them do not need it.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
