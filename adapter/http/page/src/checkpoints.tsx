// Checkpoints: what each holds, in what two differ, and threads that go on from one, edited or as it was.
import { diffWordsWithSpace } from "diff";
import { useSignal } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { type CheckpointSummary, type Difference, type Json, type JsonObject, Problem, type ThreadDetail, call, pathOf, queryOf } from "./api";
import { drop, placeOf, useDraft } from "./drafts";
import { Value } from "./json";
import { Link, address, go } from "./router";
import { Action, Empty, State, When, Wrong, bytes, useRead } from "./ui";

/** As many are shown at a time. */
const WINDOW = 100;
const MOST_COMPARED = 4_000;

interface Content {
  content: JsonObject;
  editable: JsonObject | null;
}

export function Checkpoints({ detail, chosen, compared }: { detail: ThreadDetail; chosen: string | null; compared: string[] }) {
  const id = detail.thread_id;
  const skipped = useSignal(0);
  const place = placeOf("compare", id);
  const from = useDraft<string | null>(place, "from", null);
  const to = useDraft<string | null>(place, "to", null);
  useEffect(() => {
    if (compared.length === 2) [from.value, to.value] = [compared[0] ?? null, compared[1] ?? null];
  }, [compared.join(" ")]);
  const { value: found, error } = useRead<{ checkpoints: CheckpointSummary[] }>(pathOf("threads", id, "checkpoints"), detail.checkpoint_id, detail.state);
  const before = from.value;
  const after = to.value;
  const all = useMemo(() => [...(found.value?.checkpoints ?? [])].reverse(), [found.value]);
  const shown = all.slice(skipped.value, skipped.value + WINDOW);
  return (
    <div class="columns checkpoints">
      <section class="card" aria-label="Checkpoints, newest first">
        <div class="card-head">
          <h2>Checkpoints</h2>
          <button
            type="button"
            disabled={!before || !after || before === after}
            onClick={() => before && after && go(address("threads", id, "compare", before, after))}
          >
            Compare
          </button>
        </div>
        <p class="hint">Choose two checkpoints to compare.</p>
        <Wrong error={error.value} />
        {found.value === null && error.value === null && <div class="skeleton" aria-hidden="true" />}
        <ol class="checkpoint-list">
          {shown.map((one) => (
            <li key={one.checkpoint_id} data-chosen={one.checkpoint_id === chosen}>
              <Link to={address("threads", id, "checkpoints", one.checkpoint_id)} current={one.checkpoint_id === chosen}>
                {`Superstep ${one.superstep}${one.kind === "superstep" ? "" : ` (${one.kind})`}`}
              </Link>
              {one.state !== "running" && <State state={one.state} />}
              {one.edited_by && <span class="tag">{`edited by ${one.edited_by}`}</span>}
              <span class="quiet">
                <When at={one.timestamp} /> · {bytes(one.size_bytes)}
              </span>
              <span class="picks">
                <Pick name="from" label={`Compare from superstep ${one.superstep}, ${one.kind}`} checked={before === one.checkpoint_id} pick={() => (from.value = one.checkpoint_id)} />
                <Pick name="to" label={`Compare to superstep ${one.superstep}, ${one.kind}`} checked={after === one.checkpoint_id} pick={() => (to.value = one.checkpoint_id)} />
              </span>
            </li>
          ))}
        </ol>
        <div class="row">
          {skipped.value > 0 && (
            <button type="button" onClick={() => (skipped.value -= WINDOW)}>
              Newer
            </button>
          )}
          {skipped.value + WINDOW < all.length && (
            <button type="button" onClick={() => (skipped.value += WINDOW)}>
              Older
            </button>
          )}
        </div>
      </section>
      {compared.length === 2 ? (
        <Comparison threadId={id} before={compared[0] ?? ""} after={compared[1] ?? ""} />
      ) : chosen ? (
        <Held key={chosen} detail={detail} checkpointId={chosen} />
      ) : (
        <section class="card">
          <Empty>Choose a checkpoint to see what it holds, to edit it and to fork from it.</Empty>
        </section>
      )}
    </div>
  );
}

function Pick(props: { name: string; label: string; checked: boolean; pick: () => void }) {
  return (
    <label>
      <input type="radio" name={`compare-${props.name}`} checked={props.checked} onChange={props.pick} aria-label={props.label} />
      {props.name}
    </label>
  );
}

function Comparison({ threadId, before, after }: { threadId: string; before: string; after: string }) {
  const { value: found, error } = useRead<{ differences: Difference[] }>(pathOf("threads", threadId, "diff") + queryOf({ before, after }));
  const groups = new Map<string, Difference[]>();
  for (const one of found.value?.differences ?? []) {
    const part = /^[a-z_]+/.exec(one.place)?.[0] ?? one.place;
    groups.set(part, [...(groups.get(part) ?? []), one]);
  }
  return (
    <section class="card" aria-label="Differences">
      <h2>Differences</h2>
      <Wrong error={error.value} />
      {found.value === null && error.value === null && <div class="skeleton" aria-hidden="true" />}
      {found.value?.differences.length === 0 && <Empty>No differences.</Empty>}
      {[...groups].map(([part, differences]) => (
        <section key={part} aria-label={PARTS[part] ?? part}>
          <h3>{PARTS[part] ?? part}</h3>
          {differences.slice(0, 500).map((one) => (
            <div key={one.place} class="difference" data-kind={one.kind}>
              <p class="difference-place">
                <code>{one.place}</code> <span class="difference-kind">{one.kind}</span>
              </p>
              <Change one={one} />
            </div>
          ))}
        </section>
      ))}
    </section>
  );
}

const PARTS: { [name: string]: string } = {
  state: "State",
  executor_state: "State of executors",
  messages: "Messages in flight",
  fan_in: "Messages waiting in a fan-in",
  pending_requests: "Requests",
  sub_workflows: "Sub-workflows",
};

function Change({ one }: { one: Difference }) {
  const { before, after } = one;
  if (typeof before === "string" && typeof after === "string" && before.length + after.length <= MOST_COMPARED) {
    return (
      <p class="text words">
        {diffWordsWithSpace(before, after).map((part, index) =>
          part.added ? <ins key={index}>{part.value}</ins> : part.removed ? <del key={index}>{part.value}</del> : <span key={index}>{part.value}</span>,
        )}
      </p>
    );
  }
  return (
    <div class="sides">
      {one.kind !== "added" && (
        <div class="before">
          <span class="sign" aria-label="before">
            −
          </span>
          <Value value={before} />
        </div>
      )}
      {one.kind !== "removed" && (
        <div class="after">
          <span class="sign" aria-label="after">
            +
          </span>
          <Value value={after} />
        </div>
      )}
    </div>
  );
}

function Held({ detail, checkpointId }: { detail: ThreadDetail; checkpointId: string }) {
  const id = detail.thread_id;
  const { value: found, error } = useRead<Content>(pathOf("threads", id, "checkpoints", checkpointId));
  const place = placeOf("edit", id, checkpointId);
  const text = useDraft<string | null>(place, "text", null);
  const threadId = useDraft(place, "thread", "");
  const editor = useRef<HTMLTextAreaElement>(null);
  const opener = useRef<HTMLButtonElement>(null);
  /** Go into the editor or out of it, and the focus with it: the button that was pressed is gone. */
  const turn = (edited: string | null) => {
    text.value = edited;
    requestAnimationFrame(() => (edited === null ? opener : editor).current?.focus());
  };
  const edit = (): Json | undefined => {
    if (text.value === null) return undefined;
    try {
      return JSON.parse(text.value) as Json;
    } catch (caught) {
      throw new Problem(0, "Not valid JSON", (caught as Error).message);
    }
  };
  const fork = async () => {
    const body = { checkpoint_id: checkpointId, thread_id: threadId.value || undefined, edit: edit() };
    const ref = await call<{ thread_id: string }>(pathOf("threads", id, "forks"), body);
    drop(place);
    go(address("threads", ref.thread_id));
  };
  const goOn = async () => {
    await call(pathOf("threads", id, "edit"), { checkpoint_id: checkpointId, edit: edit() });
    drop(place);
    go(address("threads", id));
  };
  const content = found.value?.content;
  return (
    <section class="card" aria-label="Checkpoint">
      <div class="card-head">
        <h2>{content ? `Superstep ${String(content.superstep)}` : "Checkpoint"}</h2>
        <code class="cut quiet">{checkpointId}</code>
      </div>
      {found.value === null && error.value === null && <div class="skeleton" aria-hidden="true" />}
      {content &&
        text.value === null &&
        Object.keys(PARTS)
          .filter((part) => content[part] !== undefined)
          .map((part) => (
            <section key={part} aria-label={PARTS[part]}>
              <h3>{PARTS[part]}</h3>
              <Value value={content[part]} />
            </section>
          ))}
      {text.value !== null && (
        <div class="field">
          <label htmlFor="edited">New content</label>
          <p class="hint" id="edited-hint">
            What you leave out is removed. Values that do not fit the workflow's types are rejected before anything begins.
          </p>
          <textarea id="edited" ref={editor} class="code" rows={18} spellcheck={false} aria-describedby="edited-hint" value={text.value} onInput={(event) => (text.value = event.currentTarget.value)} />
        </div>
      )}
      {content && (
        <div class="field apart">
          <label htmlFor="fork-id">
            Id of the new thread <span class="quiet">optional</span>
          </label>
          <input id="fork-id" value={threadId.value} onInput={(event) => (threadId.value = event.currentTarget.value)} />
        </div>
      )}
      <Wrong error={error.value} />
      {content && (
        <div class="row">
          <Action label={text.value === null ? "Fork" : "Fork edited"} kind="first" act={fork} failed={(caught) => (error.value = caught)} />
          {text.value === null ? (
            found.value?.editable ? (
              <button type="button" ref={opener} onClick={() => turn(JSON.stringify(found.value?.editable, null, 2))}>
                Edit
              </button>
            ) : (
              <span class="hint">This service does not have the workflow's types, so it cannot edit its checkpoints.</span>
            )
          ) : (
            <>
              <Action
                label="Continue this thread"
                sure="The thread continues from the edited checkpoint; what came after stays in its history."
                act={goOn}
                failed={(caught) => (error.value = caught)}
              />
              <button type="button" class="quiet-button" onClick={() => turn(null)}>
                Back
              </button>
            </>
          )}
        </div>
      )}
    </section>
  );
}
