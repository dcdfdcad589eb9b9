"""What runs on a worker: the superstep activity, its checkpoint cache, and the framework run inside it."""

# The plugin in adapter needs the activity, which needs other modules of adapter: whoever comes first, adapter has to
# begin, or a module here would be imported halfway.
from .. import adapter as _adapter  # noqa: F401
