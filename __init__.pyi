# The one list of what this package exports. `__init__.py` reads it and imports each name on first use.

from .activities.invocation import Superstep as Superstep
from .activities.invocation import current_superstep as current_superstep
from .activities.invocation import idempotency_key as idempotency_key
from .adapter.checkpoints.lineage import CheckpointInfo as CheckpointInfo
from .adapter.checkpoints.storage import HistoryCheckpointStorage as HistoryCheckpointStorage
from .adapter.client.durable_workflow import DurableWorkflow as DurableWorkflow
from .adapter.client.event_position import EventPosition as EventPosition
from .adapter.client.event_position import LiveEventsVoid as LiveEventsVoid
from .adapter.client.event_position import position_of as position_of
from .adapter.client.executor_policy import ExecutorPolicy as ExecutorPolicy
from .adapter.client.handle import Checkpoint as Checkpoint
from .adapter.client.handle import Response as Response
from .adapter.client.inbox import inbox as inbox
from .adapter.client.options import DurableOptions as DurableOptions
from .adapter.client.options import OptionArguments as OptionArguments
from .adapter.client.request_policy import RequestPolicy as RequestPolicy
from .adapter.commands.codec_server import codec_app as codec_app
from .adapter.commands.dev_server import DevServer as DevServer
from .adapter.commands.dev_server import start_dev_server as start_dev_server
from .adapter.errors import AlreadyRunningError as AlreadyRunningError
from .adapter.errors import CheckpointCorruptedError as CheckpointCorruptedError
from .adapter.errors import CheckpointNotFoundError as CheckpointNotFoundError
from .adapter.errors import DurableWorkflowError as DurableWorkflowError
from .adapter.errors import GraphChangedError as GraphChangedError
from .adapter.errors import HistoryReadOnlyError as HistoryReadOnlyError
from .adapter.errors import HostingError as HostingError
from .adapter.errors import NewerReleaseError as NewerReleaseError
from .adapter.errors import NotSealedError as NotSealedError
from .adapter.errors import NoWorkerError as NoWorkerError
from .adapter.errors import PayloadError as PayloadError
from .adapter.errors import PendingRequestsError as PendingRequestsError
from .adapter.errors import RequestExpiredError as RequestExpiredError
from .adapter.errors import RunCancelledError as RunCancelledError
from .adapter.errors import RunFailedError as RunFailedError
from .adapter.errors import RunTerminatedError as RunTerminatedError
from .adapter.errors import RunTimedOutError as RunTimedOutError
from .adapter.errors import SearchAttributesError as SearchAttributesError
from .adapter.errors import ServerUnreachableError as ServerUnreachableError
from .adapter.errors import StaleCheckpointError as StaleCheckpointError
from .adapter.errors import ThreadExistsError as ThreadExistsError
from .adapter.errors import ThreadNotFoundError as ThreadNotFoundError
from .adapter.errors import WorkflowNotHostedError as WorkflowNotHostedError
from .adapter.framework.definition import WorkflowEntry as WorkflowEntry
from .adapter.framework.definition import WorkflowFactory as WorkflowFactory
from .adapter.plugin import AgentFrameworkPlugin as AgentFrameworkPlugin
from .adapter.temporal.converter import FramedPayloadConverter as FramedPayloadConverter
from .adapter.temporal.file_driver import FileStorageDriver as FileStorageDriver
from .adapter.temporal.sealing import SealingCodec as SealingCodec
from .adapter.temporal.sealing import sealed as sealed
from .adapter.temporal.search_attributes import register_search_attributes as register_search_attributes
from .workflows.messages import PendingRequest as PendingRequest

__version__: str
__all__: list[str]
