"""The console in a real browser: start, watch, answer, compare, edit and fork, resume."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from agent_framework_temporal import DurableWorkflow
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType, ResetReapplyExcludeType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest

from tests.console._flows import Brief, press
from tests.console.conftest import Console, shot
from tests.flows import Order, shop
from tests.http._serving import API, begun, whole_stream
from tests.sealing._rogue import connect
from tests.support import unique, worker

expect: Any = pytest.importorskip("playwright.async_api", reason="the extra `test` has it").expect
expect.set_options(timeout=30_000)


async def _waiting(console: Console, **brief: Any) -> tuple[str, str]:
    """Begin a thread that waits for its review; returns its id and its request's."""
    topic = brief.setdefault("topic", unique("topic"))
    thread = await begun(console.http, "press", brief)
    await whole_stream(console.http, thread)
    return thread, f"review-{topic}"


async def _answered(console: Console, thread: str, request: str) -> None:
    address = f"{API}/threads/{thread}/requests/{quote(request, safe='')}/response"
    response = await console.http.post(address, json={"response": {"approved": True, "grade": 3}})
    assert response.status_code == 200, response.text


async def test_a_thread_from_its_form_to_its_outcome(console: Console, tmp_path: Path) -> None:
    """Tokens are seen as they come, over a reload too; a wrong answer is refused at its fields."""
    topic, gate = unique("boats"), tmp_path / "gate"
    async with console.page("/") as page:
        await page.get_by_role("link", name="Start a thread").click()
        await page.get_by_role("link", name="press").click()
        start = page.get_by_role("button", name="Start", exact=True)
        await start.click()
        await expect(page.get_by_text("Topic is needed")).to_be_visible()
        await expect(page.get_by_label("Topic")).to_be_focused()
        await page.get_by_label("Topic").fill(topic)
        await page.get_by_label("Gate").fill(str(gate))
        await start.click()
        await page.wait_for_url("**/threads/**")

        said = page.locator(".item[data-kind=output]")
        await expect(said).to_have_text(re.compile(f"{topic}-0 {topic}-1 {topic}-2 $"))
        await expect(page.locator("[data-executor=writer]")).to_have_attribute("data-state", "running")
        height = await page.evaluate("document.documentElement.scrollHeight")
        await shot(page, "tokens")
        await page.reload()
        await expect(said).to_have_text(re.compile(f"{topic}-0 {topic}-1 {topic}-2 $"))
        gate.touch()

        card = page.locator(f"[data-request='review-{topic}']")
        await expect(card).to_be_visible()
        assert await page.locator(".log").bounding_box() is not None
        assert await page.evaluate("document.documentElement.scrollHeight") >= height
        await expect(said).to_have_text(re.compile(" ".join(f"{topic}-{number}" for number in range(6))))
        await card.get_by_label("Grade").fill("9")
        await card.get_by_role("button", name="Answer", exact=True).click()
        await expect(card.get_by_text("Approved is needed")).to_be_visible()
        await expect(card.get_by_text("Grade may be at most 5")).to_be_visible()
        assert await card.get_by_label("Grade").get_attribute("aria-invalid") == "true"
        await shot(page, "request")
        await card.get_by_label("Grade").fill("4")
        await card.get_by_label("Yes").check()
        await card.get_by_role("button", name="Add").click()
        await card.locator("[id$=remarks-0]").fill("Well done.")
        await card.get_by_role("button", name="Answer", exact=True).click()
        await expect(page.get_by_text(f"{topic}: approved, grade 4")).to_be_visible()
        await expect(page.locator(".head .state")).to_have_text("idle")
        await expect(page.locator("[data-executor=printer]")).to_have_attribute("data-state", "done")
        await expect(page.locator(".writing")).to_have_count(0)
        await page.locator("[data-executor=setting]").press("Enter")
        await expect(page.locator("[data-executor=setter]")).to_be_visible()

        await page.get_by_role("link", name="Supersteps").click()
        await expect(page.locator(".step")).to_have_count(5)
        await page.get_by_role("link", name="Superstep 1", exact=True).click()
        await expect(page.get_by_text("executor_invoked · writer")).to_be_visible()
        await page.reload()
        await expect(page.get_by_text("executor_invoked · writer")).to_be_visible()
        await shot(page, "supersteps")


_SHIFTS = """window.shifts = [];
new PerformanceObserver((list) => list.getEntries().forEach((entry) => window.shifts.push(
  [entry.value, ...entry.sources.map((one) =>
    `${one.previousRect.y} ${one.currentRect.y} ${one.node?.outerHTML?.slice(0, 80)}`)]
))).observe({type: "layout-shift", buffered: true})"""


@pytest.mark.parametrize("width", [1280, 390])
async def test_nothing_jumps_while_words_come(console: Console, tmp_path: Path, width: int) -> None:
    """As Chromium counts it, from the first content to the request; what comes is seen to its end."""
    topic, gate = f"{unique('boats')}-{'x' * 40}", tmp_path / "gate"
    thread = await begun(console.http, "press", {"topic": topic, "words": 160, "gate": str(gate)})
    size = {"width": width, "height": 844}
    async with console.page(f"/threads/{thread}", scripts=[_SHIFTS], viewport=size) as page:
        said = page.locator(".item[data-kind=output]")
        await expect(said).to_contain_text(f"{topic}-79")
        # Of so much the newest is told as it comes, and that is said.
        await expect(said).to_contain_text("the newest, as it comes")
        await expect(said.locator(".said")).to_contain_text("… ")
        await expect(page.locator("[data-executor=writer]")).to_be_visible()
        at = await page.locator(".log").bounding_box()
        gate.touch()
        await expect(page.locator(".request")).to_have_count(1)
        await expect(said).to_contain_text(re.compile(f"{topic}-0 .*{topic}-159", re.DOTALL))
        await expect(said.locator(".said")).not_to_contain_text("… ")
        assert await page.locator(".log").bounding_box() == at
        assert (
            await page.evaluate(
                "(log => log.scrollHeight - log.scrollTop - log.clientHeight)(document.querySelector('.log'))"
            )
            < 2
        )
        shifts = await page.evaluate("window.shifts")
        assert sum(value for value, *_ in shifts) < 0.01, "\n".join(map(str, shifts))


async def test_the_service_has_the_last_word_on_an_answer(console: Console) -> None:
    """What a form lets pass is refused with a verdict all the same, at its field."""
    thread, request = await _waiting(console)

    async def spoilt(route: Any) -> None:
        await route.continue_(post_data=json.dumps({"response": {"approved": True, "grade": 7}}))

    async with console.page(f"/threads/{thread}/requests/{request}") as page:
        await page.route("**/response", spoilt)
        await page.get_by_label("Yes").check()
        await page.get_by_label("Grade").fill("3")
        await page.get_by_role("button", name="Answer", exact=True).click()
        await expect(page.locator("[id$=grade__error]")).to_contain_text("Grade is greater than the maximum of 5")
        await page.unroute("**/response")
        await page.get_by_role("button", name="Answer", exact=True).click()
        await expect(page.get_by_text("approved, grade 3")).to_be_visible()


async def test_checkpoints_are_compared_edited_and_forked(console: Console) -> None:
    thread, request = await _waiting(console)
    await _answered(console, thread, request)
    await whole_stream(console.http, thread)
    async with console.page(f"/threads/{thread}/checkpoints") as page:
        await page.get_by_label("Compare from superstep 0, entry").check()
        await page.get_by_label("Compare to superstep 5, superstep").check()
        await page.get_by_role("button", name="Compare").click()
        grade = page.locator(".difference", has_text="state.grade")
        await expect(grade).to_have_attribute("data-kind", "added")
        await expect(grade).to_contain_text("3")
        await expect(page.locator(".difference", has_text="messages[0]")).to_have_attribute("data-kind", "removed")
        await shot(page, "differences")
        await page.reload()
        await expect(grade).to_be_visible()

        await page.get_by_role("link", name="Superstep 4").click()
        await page.get_by_role("button", name="Edit").click()
        text = await page.get_by_label("New content").input_value()
        await page.get_by_label("New content").fill(text.replace("approved, grade 3", "edited"))
        fork = unique("fork")
        await page.get_by_label("Id of the new thread").fill(fork)
        await page.get_by_role("button", name="Fork edited").click()
        await page.wait_for_url(f"**/threads/{fork}")
        await expect(page.locator(".item[data-kind=output]").last).to_contain_text("edited")

        await page.go_back()
        await page.get_by_role("button", name="Edit").click()
        await page.get_by_label("New content").fill("{")
        await page.get_by_role("button", name="Fork edited").click()
        await expect(page.get_by_role("alert")).to_contain_text("Not valid JSON")


@pytest.mark.parametrize(("state", "button"), [("failed", "Resume"), ("paused", "Retry")])
async def test_a_failed_thread_is_resumed(console: Console, tmp_path: Path, state: str, button: str) -> None:
    topic = f"jam {tmp_path / 'mended'}"
    durable = DurableWorkflow(
        press, client=console.client, task_queue=console.queue, max_attempts=1, pause_on_failure=state == "paused"
    )
    checkpoint = durable.checkpoint()
    await durable.run(Brief(topic=topic), checkpoint=checkpoint)
    thread = checkpoint.thread_id
    await _answered(console, thread, f"review-{topic}")
    async with console.page(f"/threads/{thread}") as page:
        await expect(page.locator(".head .state")).to_have_text(state)
        await expect(page.locator(".standing")).to_contain_text("the paper is jammed")
        await expect(page.locator("[data-executor=printer]")).to_have_attribute("data-state", "failed")
        await expect(page.locator(".item[data-kind=failure]")).to_contain_text("ValueError: the paper is jammed")
        await shot(page, "failed")
        (tmp_path / "mended").touch()
        await page.get_by_role("button", name=button).click()
        await expect(page.locator(".head .state")).to_have_text("idle")
        await expect(page.locator(".item[data-kind=output]").last).to_contain_text("approved, grade 3")


async def test_two_browsers_on_one_thread(console: Console) -> None:
    """What one answers the other sees, without a reload; one that answers too late is told so."""
    thread, request = await _waiting(console)
    path = f"/threads/{thread}/requests/{request}"
    async with console.page(path) as one, console.page(path) as other:
        for page in (one, other):
            await page.get_by_label("Yes").check()
            await page.get_by_label("Grade").fill("5")
        await one.get_by_role("button", name="Answer", exact=True).click()
        for page in (one, other):
            await expect(page.get_by_text("approved, grade 5")).to_be_visible()
            await expect(page.locator(".request")).to_have_count(0)
        await expect(other.get_by_text("is no longer waiting for an answer")).to_be_visible()


async def test_what_is_typed_stays_until_it_is_sent(console: Console) -> None:
    """Over other views, what is read anew and what others do; where it cannot be sent any more, that is said."""
    thread, request = await _waiting(console)
    async with console.page(f"/threads/{thread}") as page:
        tab = page.get_by_role("navigation", name="Parts of the thread").get_by_role
        message = page.get_by_role("region", name="Send a message").get_by_label("Topic")
        await page.locator(".request").get_by_label("Grade").fill("4")
        await page.get_by_text("Send a message").click()
        await message.fill("a half message")

        await tab("link", name="Checkpoints").click()
        await page.get_by_label("Compare from superstep 0, entry").check()
        await page.locator(".checkpoint-list a").first.click()
        await page.get_by_role("button", name="Edit").click()
        edited = page.get_by_label("New content")
        await edited.fill('{"half": ')
        await page.get_by_label("Id of the new thread").fill("half-a-fork")
        await tab("link", name="Supersteps").click()
        await expect(page.locator(".step").first).to_be_visible()
        await page.go_back()
        await expect(edited).to_have_value('{"half": ')
        await expect(page.get_by_label("Id of the new thread")).to_have_value("half-a-fork")
        await expect(page.get_by_label("Compare from superstep 0, entry")).to_be_checked()

        await page.get_by_role("link", name="Workflows").click()
        await page.get_by_role("link", name="press").click()
        await page.get_by_label("Topic").fill("half a start")
        await page.get_by_role("link", name="Threads").click()
        await page.get_by_role("searchbox").fill("half a search")
        await page.wait_for_event("response", lambda response: "/api/v1/threads?" in response.url)
        await expect(page.get_by_role("searchbox")).to_have_value("half a search")
        await page.go_back()
        await expect(page.get_by_label("Topic")).to_have_value("half a start")
        for _ in range(3):
            await page.go_back()
        await tab("link", name="Run").click()

        grade = page.locator(".request").get_by_label("Grade")
        await expect(grade).to_have_value("4")
        await page.locator(".request").get_by_role("button", name="As JSON").click()
        text = page.locator(".request").get_by_label("JSON")
        await text.fill('{"grade": 2}')
        await page.locator(".request").get_by_role("button", name="As a form").click()
        await expect(grade).to_have_value("2")

        address = f"{API}/threads/{thread}/requests/{quote(request, safe='')}/response"
        answer = {"response": {"approved": True, "grade": 3}, "responder": "Ada"}
        assert (await console.http.post(address, json=answer)).status_code == 200
        gone = page.locator(".note", has_text="What editor asked is no longer waiting for an answer. Ada answered.")
        await expect(gone).to_contain_text("What you typed was not sent.")
        await expect(message).to_have_value("a half message")
        await expect(page.locator(".item[data-kind=note]")).to_contain_text("Ada answered")
        await gone.get_by_role("button", name="Discard it").click()
        await expect(gone).to_have_count(0)
        await page.get_by_role("region", name="Send a message").get_by_role("button", name="Send").click()
        await expect(page.locator("[data-request='review-a half message']")).to_be_visible()
        await expect(message).to_have_value("")


async def test_a_thread_is_held_cancelled_and_written_to(console: Console) -> None:
    thread, _ = await _waiting(console)
    async with console.page(f"/threads/{thread}") as page:
        await page.get_by_role("button", name="Pause").click()
        await expect(page.get_by_role("button", name="Continue")).to_be_visible()
        for topic in ("kept", "withdrawn"):
            await page.get_by_text("Send a message").click()
            form = page.get_by_role("region", name="Send a message")
            await form.get_by_label("Topic").fill(topic)
            await form.get_by_role("button", name="Send").click()
            await expect(form.locator(".item", has_text=topic)).to_be_visible()
            await page.get_by_text("Send a message").click()
        await form.locator(".item", has_text="withdrawn").get_by_role("button", name="Withdraw").click()
        await expect(form.locator(".item")).to_have_count(1)
        await expect(form.locator(".item")).to_contain_text("kept")
        await page.get_by_role("button", name="Continue").click()
        await expect(page.get_by_role("button", name="Pause")).to_be_visible()
        await page.get_by_role("group", name="Actions").get_by_role("button", name="Cancel").click()
        await page.get_by_role("dialog").get_by_role("button", name="Back").click()
        await expect(page.get_by_role("dialog")).to_have_count(0)
        await page.get_by_role("group", name="Actions").get_by_role("button", name="Cancel").click()
        await page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        await expect(page.locator(".head .state")).to_have_text("cancelled")
        await page.get_by_text("Send a message").click()
        await page.get_by_label("Topic").fill("again")
        await page.get_by_role("button", name="Send").click()
        await expect(page.locator("[data-request=review-again]")).to_be_visible()


async def _unfold(page: Any) -> None:
    """Show what is folded, an editor, the form as wrong as can be: of the view that is open what it has of that."""
    for name in ("Edit", "Start", "Answer"):
        for button in await page.get_by_role("button", name=name, exact=True).all():
            await button.click()
    for node in await page.locator(".node[role=button][aria-expanded=false]").all():
        await node.press("Enter")
    for summary in await page.locator("summary").all():
        await summary.click()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_each_page_is_readable_for_all(console: Console, scheme: str) -> None:
    """Contrast, labels, names, order of headings: by axe, on each page. At phone width nothing is cut off."""
    axe = pytest.importorskip("axe_playwright_python.async_playwright", reason="the extra `test` has it").Axe()
    thread, request = await _waiting(console)
    other, done = await _waiting(console)
    await _answered(console, other, done)
    await whole_stream(console.http, other)
    found = (await console.http.get(f"{API}/threads/{other}/checkpoints")).json()["checkpoints"]
    ids = [one["checkpoint_id"] for one in found]
    async with console.page("/", color_scheme=scheme) as page:
        for path, sign in (
            ("/", ".thread-name"),
            ("/workflows/", ".cards a"),
            ("/workflows/press", ".node"),
            (f"/threads/{thread}/requests/{request}", ".request"),
            (f"/threads/{other}", ".item"),
            (f"/threads/{other}/supersteps", ".step"),
            (f"/threads/{other}/checkpoints/{ids[-1]}", "#fork-id"),
            (f"/threads/{other}/compare/{ids[0]}/{ids[-1]}", ".difference"),
        ):
            await page.set_viewport_size({"width": 1280, "height": 900})
            await page.goto(f"{console.address}{path}")
            await expect(page.locator(sign).first).to_be_visible()
            await _unfold(page)
            wrong = (await axe.run(page)).response["violations"]
            assert [(one["id"], [node["target"] for node in one["nodes"]]) for one in wrong] == [], path
            await shot(page, f"{scheme}-{sign.strip('.#').partition(' ')[0]}")
            await page.set_viewport_size({"width": 360, "height": 740})
            assert await page.evaluate("document.documentElement.scrollWidth") <= 360, path


_FOCUSED = """([selector]) => {
  const element = document.activeElement, isSeen = getComputedStyle(element).outlineStyle !== "none";
  return [element.matches(selector), isSeen || element === document.body, element.outerHTML.slice(0, 200)];
}"""


async def _tab(page: Any, selector: str) -> None:
    """Press Tab until that has the focus; whatever has it on the way is seen to."""
    for _ in range(80):
        await page.keyboard.press("Tab")
        there, is_seen, what = await page.evaluate(_FOCUSED, [selector])
        assert is_seen, what
        if there:
            return
    pytest.fail(f"not reached by keyboard: {selector}")


async def test_it_is_worked_by_keyboard_alone(console: Console) -> None:
    """From the start of a thread over its answer to a fork that is edited."""
    topic = unique("keys")
    async with console.page("/") as page:
        await expect(page.locator("h1")).to_be_visible()
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.className") == "skip"
        for link in ("a[href$='/workflows/'].first", "a[href$='/workflows/press']"):
            await expect(page.locator(link)).to_be_visible()
            await _tab(page, link)
            await page.keyboard.press("Enter")
        await expect(page.get_by_label("Topic")).to_be_visible()
        await _tab(page, "textarea[id$=topic]")
        await page.keyboard.type(topic)
        await _tab(page, "button.first")
        await page.keyboard.press("Enter")
        await expect(page.locator(".request")).to_be_visible()
        await _tab(page, ".actions .first")
        await page.keyboard.press("Enter")
        await expect(page.locator(".request")).to_be_focused()
        await _tab(page, "input[type=radio]")
        await page.keyboard.press("Space")
        await _tab(page, "input[id$=grade]")
        await page.keyboard.type("2")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("approved, grade 2")).to_be_visible()
        await expect(page.locator(".request")).to_have_count(0)
        await _tab(page, "[data-executor=setting]")
        await page.keyboard.press("Enter")
        await expect(page.locator("[data-executor=setter]")).to_be_visible()
        await _tab(page, ".tabs a[href$=checkpoints]")
        await page.keyboard.press("Enter")
        await expect(page.locator(".checkpoint-list a").first).to_be_visible()
        await _tab(page, ".checkpoint-list li:nth-child(2) a")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("button", name="Edit")).to_be_visible()
        await _tab(page, ".columns > .card:last-child .row button:nth-of-type(2)")
        await page.keyboard.press("Enter")
        editor = page.get_by_label("New content")
        await expect(editor).to_be_focused()
        edited = (await editor.input_value()).replace("approved, grade 2", "by keys")
        await page.keyboard.press("Control+A")
        await page.keyboard.insert_text(edited)
        await _tab(page, "#fork-id")
        await page.keyboard.type(f"{topic}-fork")
        await _tab(page, ".columns > .card:last-child .row .first")
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"**/threads/{topic}-fork")
        await expect(page.locator(".item[data-kind=output]").last).to_contain_text("by keys")


async def test_a_sub_workflow_unfolds_with_what_is_known_of_it(console: Console) -> None:
    """Who waits in it is told by the checkpoint; of the others the page says that it is not known."""
    thread = await begun(console.http, "office", unique("note"))
    await whole_stream(console.http, thread)
    async with console.page(f"/threads/{thread}") as page:
        inner = page.get_by_role("region", name="Sub-workflow of office").locator
        await page.locator("[data-executor=office]").click()
        await expect(inner("[data-executor=clerk]")).to_have_attribute("data-state", "waiting")
        await expect(inner("[data-executor=copier]")).to_have_attribute("aria-label", "copier: not told")
        await expect(inner(".hint")).to_contain_text("is not known")
        await page.locator(".request select").select_option("0")
        await page.get_by_role("button", name="Answer", exact=True).click()
        await expect(page.locator("[data-executor=office]")).to_have_attribute("data-state", "done")
        await expect(inner("[data-executor=clerk]")).not_to_have_attribute("data-state", "waiting")


async def test_a_thread_is_held_at_a_breakpoint(console: Console) -> None:
    thread, _ = await _waiting(console)
    async with console.page(f"/threads/{thread}") as page:
        await page.get_by_text("Breakpoints", exact=True).click()
        await page.get_by_label("printer", exact=True).check()
        await page.get_by_role("button", name="Set breakpoints").click()
        await expect(page.locator("[data-executor=printer] .breakpoint")).to_be_visible()
        await page.get_by_label("Yes").check()
        await page.get_by_label("Grade").fill("5")
        await page.get_by_role("button", name="Answer", exact=True).click()
        await expect(page.locator(".standing")).to_contain_text("Held before printer")
        await page.get_by_role("button", name="Continue").click()
        await expect(page.get_by_text("approved, grade 5")).to_be_visible()
        await expect(page.locator(".head .state")).to_have_text("idle")


async def test_colours_are_chosen_and_kept(console: Console) -> None:
    async with console.page("/", color_scheme="light") as page:
        colour = "getComputedStyle(document.body).backgroundColor"
        light = await page.evaluate(colour)
        toggle = page.get_by_role("button", name="Colours")
        await toggle.click()
        await toggle.click()
        assert await page.evaluate(colour) != light
        await page.reload()
        await expect(toggle).to_contain_text("Dark")
        assert await page.evaluate(colour) != light


async def test_the_list_is_live_searched_and_filtered(console: Console) -> None:
    prefix = unique("listed")
    async with console.page(f"/?search={prefix}") as page:
        await expect(page.get_by_text("No matching threads.")).to_be_visible()
        await begun(console.http, "countdown", 0, thread_id=f"{prefix}-over")
        await begun(console.http, "press", {"topic": unique("t")}, thread_id=f"{prefix}-open")
        await expect(page.locator(".thread-name")).to_have_count(2)
        await page.get_by_role("link", name="Over", exact=True).click()
        await expect(page.locator(".thread-name")).to_have_text([f"{prefix}-over"])
        await page.go_back()
        await page.get_by_role("searchbox").fill(f"{prefix}-op")
        await page.keyboard.press("Enter")
        await expect(page.locator(".thread-name")).to_have_text([f"{prefix}-open"])
        await page.locator(".thread-name").click()
        await expect(page.locator("h1")).to_have_text(f"{prefix}-open")


async def test_a_workflow_that_is_not_known_here_is_shown_and_answered(console: Console) -> None:
    """As plain JSON: without a graph, and with a form where the request itself says what it takes."""
    item = unique("tea")
    durable = DurableWorkflow(shop, client=console.client, task_queue=console.queue)
    checkpoint = durable.checkpoint()
    await durable.run(Order(item=item, price=2), checkpoint=checkpoint)
    async with console.page(f"/threads/{checkpoint.thread_id}") as page:
        await expect(page.get_by_text("does not know workflow shop")).to_be_visible()
        card = page.locator(".request")
        await expect(card).to_contain_text(item)
        await card.get_by_label("Yes").check()
        await card.get_by_role("button", name="Answer", exact=True).click()
        await expect(page.get_by_text(f"{item} approved by nobody")).to_be_visible()
        await page.get_by_role("link", name="Checkpoints").click()
        await expect(page.get_by_label("Compare from superstep 0, entry")).to_be_visible()


async def test_a_sealed_thread_says_what_is_missing(console: Console) -> None:
    """Here the service has no keys; nothing of what is sealed is in the page, and nothing of it goes wrong."""
    sealing = await connect(console.client)
    item = unique("secret")
    async with worker(sealing, shop) as queue:
        durable = DurableWorkflow(shop, client=sealing, task_queue=queue)
        checkpoint = durable.checkpoint()
        await durable.run(Order(item=item), checkpoint=checkpoint)
        for path in ("", "/supersteps", "/checkpoints"):
            async with console.page(f"/threads/{checkpoint.thread_id}{path}") as page:
                await expect(page.get_by_role("alert").first).to_contain_text("Not sealed")
                await expect(page.get_by_role("alert").first).to_contain_text("key")
                assert item not in await page.content()


async def test_a_reset_is_seen(console: Console) -> None:
    """An operator resets a thread that rests while it is shown: nothing of what is undone is left, or there twice."""
    thread, request = await _waiting(console)
    await _answered(console, thread, request)
    await whole_stream(console.http, thread)
    async with console.page(f"/threads/{thread}/supersteps") as page:
        await expect(page.locator(".step")).to_have_count(5)
        run_id = (await console.http.get(f"{API}/threads/{thread}")).json()["run_id"]
        history = console.client.get_workflow_handle(thread).fetch_history_events()
        kind = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
        first = await anext(event.event_id async for event in history if event.event_type == kind)
        await console.client.workflow_service.reset_workflow_execution(
            ResetWorkflowExecutionRequest(
                namespace=console.client.namespace,
                workflow_execution=WorkflowExecution(workflow_id=thread, run_id=run_id),
                workflow_task_finish_event_id=first,
                request_id=unique("reset"),
                reset_reapply_exclude_types=[
                    ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL,
                    ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_UPDATE,
                ],
            )
        )
        await page.get_by_role("link", name="Run", exact=True).click()
        await expect(page.locator(f"[data-request='{request}']")).to_be_visible()
        await expect(page.get_by_text("approved, grade 3")).to_have_count(0)
        await page.get_by_role("link", name="Supersteps").click()
        await expect(page.locator(".step")).to_have_count(2)


async def test_what_is_not_there_is_said(console: Console) -> None:
    async with console.page("/threads/none") as page:
        await expect(page.get_by_role("alert")).to_contain_text("none")
        await page.goto(f"{console.address}/workflows/none")
        await expect(page.get_by_role("alert")).to_contain_text("does not know workflow")
