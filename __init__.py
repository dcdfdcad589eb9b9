"""Run Microsoft Agent Framework workflows durably on Temporal.

The public names are listed in `__init__.pyi` and imported on first use: the generic Temporal workflow lives in this
package too, its sandbox imports this module, and the framework itself cannot be imported there.
"""

from __future__ import annotations

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
