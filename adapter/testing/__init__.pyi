# The one list of what this package exports. `__init__.py` reads it and imports each name on first use.

from .environment import DurableTestEnvironment as DurableTestEnvironment
from .replay import replay_history as replay_history
from .same import Call as Call
from .same import assert_same_as_in_process as assert_same_as_in_process
from .scripted import Prompt as Prompt
from .scripted import Reply as Reply
from .scripted import ScriptedChatClient as ScriptedChatClient
from .scripted import ToolCall as ToolCall
from .scripted import scripted_agent as scripted_agent
from .shared import DurableFactory as DurableFactory
from .shared import SharedTestEnvironment as SharedTestEnvironment
from .superstep import ReplayedSuperstep as ReplayedSuperstep
from .superstep import SuperstepOutcome as SuperstepOutcome
from .superstep import replay_superstep as replay_superstep

__all__: list[str]
