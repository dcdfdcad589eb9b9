"""The handle an application keeps is a value, also of a thread that waits: copied in any way it goes on."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest
from agent_framework_temporal import Checkpoint, DurableWorkflow
from temporalio.client import Client

from tests.flows import Decision, Order, shop
from tests.support import worker

_COPIES: dict[str, Callable[[Checkpoint], Checkpoint]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda handle: pickle.loads(pickle.dumps(handle)),  # noqa: S301 - what was just written
    "json": lambda handle: Checkpoint.from_json(handle.to_json()),
    "model_copy": lambda handle: handle.model_copy(deep=True),
}


@pytest.mark.parametrize("way", _COPIES)
async def test_a_copy_of_a_handle_that_waits_goes_on(client: Client, way: str) -> None:
    async with worker(client, shop) as queue:
        durable = DurableWorkflow(shop, client=client, task_queue=queue)
        handle = durable.checkpoint()
        await durable.run(Order(item="pen"), checkpoint=handle)
        copied = _COPIES[way](handle)
        assert copied == handle
        assert copied is not handle
        assert vars(copied) == vars(handle), "a value has nothing but its fields"
        assert not copied.__pydantic_private__
        result = await durable.run(responses={"approve-pen": Decision(approved=True, by="me")}, checkpoint=copied)
        assert result.get_outputs() == ["pen approved by me, order 1"]
        # The other stays where it was, and catches up.
        assert (handle.thread_id, copied.offset > handle.offset) == (copied.thread_id, True)
        assert handle.checkpoint_id != copied.checkpoint_id
        await durable.run(checkpoint=handle)
        assert handle == copied


def test_a_handle_has_no_method_that_only_the_facade_calls() -> None:
    own = {name for name in vars(Checkpoint) if not name.startswith("_")}
    assert own - set(Checkpoint.model_fields) == {"to_json", "from_json", "model_config"}
