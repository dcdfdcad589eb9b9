// Workflows: their graph, the form that starts a thread, and the form for a message to one.
import { useSignal } from "@preact/signals";
import { type Json, type ThreadDetail, type Workflow, call, pathOf } from "./api";
import { drop, placeOf, useDraft } from "./drafts";
import { SchemaForm } from "./form";
import { GraphView } from "./graph";
import { Link, address, go } from "./router";
import { Action, Empty, When, Wrong, useRead } from "./ui";

export function Workflows() {
  const { value: found, error } = useRead<Workflow[]>(pathOf("workflows"));
  return (
    <>
      <div class="head">
        <h1>Workflows</h1>
      </div>
      <Wrong error={error.value} />
      {found.value?.length === 0 && <Empty>This service has no workflows to start. Pass some: `console --workflow module:factory`.</Empty>}
      <ul class="cards">
        {(found.value ?? []).map((one) => (
          <li key={one.name} class="card">
            <h2>
              <Link to={address("workflows", one.name)}>{one.name}</Link>
            </h2>
            {one.description && <p>{one.description}</p>}
            <p class="hint">{one.inputs.map((input) => shortType(input.type)).join(", ")}</p>
          </li>
        ))}
      </ul>
    </>
  );
}

export function Start({ name }: { name: string }) {
  const { value: workflow, error } = useRead<Workflow>(pathOf("workflows", name));
  const place = placeOf("start", name);
  const threadId = useDraft(place, "thread", "");
  const tags = useDraft(place, "tags", "");
  const start = async (message: Json) => {
    const chosen = tags.value.split(",").map((tag) => tag.trim()).filter(Boolean);
    const body = { message, thread_id: threadId.value || undefined, tags: chosen.length ? chosen : undefined };
    const ref = await call<{ thread_id: string }>(pathOf("workflows", name, "threads"), body);
    drop(place);
    go(address("threads", ref.thread_id));
  };
  const found = workflow.value;
  return (
    <>
      <div class="head">
        <h1 class="cut">{name}</h1>
      </div>
      <Wrong error={error.value} />
      {!found && error.value === null && <div class="skeleton tall" aria-hidden="true" />}
      {found && (
        <div class="columns run">
          <section class="card" aria-label="Start a thread">
            <h2>Start a thread</h2>
            {found.description && <p class="hint">{found.description}</p>}
            <InputForm inputs={found.inputs} label="Start" idPrefix="input" place={place} submit={start} />
            <details>
              <summary>More</summary>
              <div class="field">
                <label htmlFor="thread-id">
                  Thread id <span class="quiet">optional</span>
                </label>
                <input id="thread-id" value={threadId.value} onInput={(event) => (threadId.value = event.currentTarget.value)} />
              </div>
              <div class="field">
                <label htmlFor="tags">
                  Tags, with commas between <span class="quiet">optional</span>
                </label>
                <input id="tags" value={tags.value} onInput={(event) => (tags.value = event.currentTarget.value)} />
              </div>
            </details>
          </section>
          {found.graph && !found.functional && (
            <section class="card" aria-label="Graph">
              <h2>Graph</h2>
              <GraphView graph={found.graph} activity={null} label={`Graph of ${name}`} />
            </section>
          )}
        </div>
      )}
    </>
  );
}

function InputForm(props: { inputs: Workflow["inputs"]; label: string; idPrefix: string; place: string; submit: (value: Json) => Promise<unknown> }) {
  const chosen = useDraft(props.place, "kind", 0);
  const input = props.inputs[chosen.value];
  return (
    <>
      {props.inputs.length > 1 && (
        <div class="field">
          <label htmlFor={`${props.idPrefix}-kind`}>Data to send</label>
          <select id={`${props.idPrefix}-kind`} value={chosen.value} onChange={(event) => (chosen.value = Number(event.currentTarget.value))}>
            {props.inputs.map((one, index) => (
              <option key={one.type} value={index}>
                {shortType(one.type)}
              </option>
            ))}
          </select>
        </div>
      )}
      <SchemaForm key={`${chosen.value} ${input?.type}`} schema={input?.json_schema ?? null} label={props.label} idPrefix={props.idPrefix} place={placeOf(props.place, input?.type ?? "")} submit={props.submit} />
    </>
  );
}

const WHEN: { [name: string]: string } = { enqueue: "In its turn", interrupt: "Next, as it interrupts", rollback: "Next, as it rolls back" };

export function MessageForm({ detail, workflow, moved }: { detail: ThreadDetail; workflow: Workflow | null; moved: () => void }) {
  const place = placeOf("message", detail.thread_id);
  const sent = useDraft(place, "sent", 0);
  const isUnfolded = useDraft(place, "unfolded", false);
  const failed = useSignal<unknown>(null);
  const isOpen = detail.closed_at === null;
  const withdraw = (message: string) => async () => {
    try {
      await call(pathOf("threads", detail.thread_id, "messages", message, "withdraw"), {});
    } finally {
      moved();
    }
  };
  const send = async (message: Json) => {
    await call(pathOf("threads", detail.thread_id, "messages"), { message, when_running: isOpen ? "enqueue" : undefined });
    sent.value += 1;
    moved();
  };
  return (
    <section class="card" aria-label="Send a message">
      {!!detail.queued_messages?.length && (
        <>
          <h2>Waiting for their turn</h2>
          <ol class="items">
            {detail.queued_messages.map((one) => (
              <li key={one.message_id} class="item" data-kind="note">
                <div class="item-head">
                  <span class="item-title">{WHEN[one.when_running] ?? one.when_running}</span>
                  <When at={one.received_at} />
                  <Action label="Withdraw" title={`Take message ${one.message_id} from the queue`} act={withdraw(one.message_id)} failed={(caught) => (failed.value = caught)} />
                </div>
                <span class="text">{one.message}</span>
              </li>
            ))}
          </ol>
          <Wrong error={failed.value} />
        </>
      )}
      <details open={isUnfolded.value} onToggle={(event) => (isUnfolded.value = event.currentTarget.open)}>
        <summary>{isOpen ? "Send a message: it is queued" : "Send a message"}</summary>
        <InputForm key={sent.value} inputs={workflow?.inputs ?? [{ type: "JSON", json_schema: null }]} label="Send" idPrefix="message" place={placeOf(place, String(sent.value))} submit={send} />
      </details>
    </section>
  );
}

function shortType(name: string): string {
  return name.replace(/[\w.]+[.:](?=\w)/g, "");
}
