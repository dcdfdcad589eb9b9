// The timeline of supersteps: how long each took, where it ran, and what it called.
import { useEffect } from "preact/hooks";
import type { Superstep } from "./api";
import { Value } from "./json";
import { Link, address } from "./router";
import type { ThreadLog } from "./thread_log";
import { Empty, State, When, lasted } from "./ui";

const MOST_EVENTS = 200;

export function Supersteps({ log, threadId, chosen }: { log: ThreadLog; threadId: string; chosen: string[] }) {
  void log.version.value;
  const isThere = !chosen.length || log.supersteps.some((one) => chosen[0] === one.run_id && chosen[1] === String(one.event_id));
  const looksFor = !isThere && log.hasOlder.value && !log.isLoading.value;
  useEffect(() => {
    if (looksFor) void log.older();
  }, [looksFor, log.supersteps.length]);
  const longest = Math.max(...log.supersteps.map((one) => one.seconds ?? 0), 0.001);
  if (!log.supersteps.length) return <Empty>{log.isLoading.value ? "Loading …" : "No superstep has begun yet."}</Empty>;
  return (
    <section aria-label="Supersteps, newest first">
      <ol class="timeline">
        {log.supersteps.map((one) => {
          const isChosen = chosen[0] === one.run_id && chosen[1] === String(one.event_id);
          return (
            <li key={`${one.run_id} ${one.event_id}`} class="card step" data-chosen={isChosen}>
              <div class="card-head">
                <h2>
                  <Link to={isChosen ? address("threads", threadId, "supersteps") : address("threads", threadId, "supersteps", one.run_id, String(one.event_id))}>
                    {one.superstep === null ? "Superstep" : `Superstep ${one.superstep}`}
                  </Link>
                </h2>
                <State state={one.running ? "running" : one.state === "running" ? "done" : one.state} />
                <When at={one.started_at ?? one.scheduled_at} />
              </div>
              <meter class="bar" min={0} max={longest} value={one.seconds ?? 0} aria-label={`It took ${lasted(one.seconds)}`} />
              <dl class="facts">
                <Fact name="Took" value={lasted(one.seconds)} />
                <Fact name="Attempts" value={String(one.attempts)} warn={one.attempts > 1} />
                <Fact name="Worker" value={one.worker ?? "–"} />
                <Fact name="Calls" value={counts(one.calls_made)} />
                <Fact name="From journal" value={counts(one.calls_taken)} />
                <Fact name="Tokens" value={tokensOf(one.usage)} />
                {costOf(one.usage) && <Fact name="Cost" value={costOf(one.usage) ?? ""} />}
              </dl>
              {one.failure && <p class="wrong">{one.failure}</p>}
              {isChosen && <Detail one={one} log={log} threadId={threadId} />}
            </li>
          );
        })}
      </ol>
      {log.hasOlder.value && (
        <button type="button" onClick={() => void log.older()}>
          {log.isLoading.value ? "Loading …" : "Show older"}
        </button>
      )}
    </section>
  );
}

function Detail({ one, log, threadId }: { one: Superstep; log: ThreadLog; threadId: string }) {
  const last = one.last_offset ?? Infinity;
  const events = log.all().filter((event) => event.offset >= one.first_offset && event.offset <= last);
  return (
    <>
      {one.checkpoint_id && (
        <p>
          <Link to={address("threads", threadId, "checkpoints", one.checkpoint_id)}>Its checkpoint</Link>
        </p>
      )}
      <h3>Events</h3>
      <ol class="items">
        {events.slice(0, MOST_EVENTS).map((event) => (
          <li key={event.offset} class="item" data-kind="event">
            <div class="item-head">
              <span class="item-title">{[event.type, event.executor_id ?? event.source_executor_id].filter(Boolean).join(" · ")}</span>
              <span class="quiet">{`#${event.offset}`}</span>
            </div>
            {event.data !== undefined && event.data !== null && <Value value={event.data} depth={1} />}
          </li>
        ))}
      </ol>
      {events.length > MOST_EVENTS && <p class="hint">{`${events.length - MOST_EVENTS} more`}</p>}
    </>
  );
}

export function Fact({ name, value, warn }: { name: string; value: string; warn?: boolean }) {
  return (
    <div class={warn ? "fact warn" : "fact"}>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

function counts(found: { [name: string]: number }): string {
  const parts = Object.entries(found).filter(([, count]) => count > 0);
  return parts.length ? parts.map(([name, count]) => `${count} ${name}`).join(", ") : "–";
}

export function tokensOf(usage: { [name: string]: number } | null): string {
  const [read, written, total] = [usage?.input_token_count, usage?.output_token_count, usage?.total_token_count];
  if (read === undefined && written === undefined) return total === undefined ? "–" : total.toLocaleString();
  return `${(read ?? 0).toLocaleString()} in, ${(written ?? 0).toLocaleString()} out`;
}

export function costOf(usage: { [name: string]: number } | null): string | null {
  const found = Object.entries(usage ?? {}).find(([name]) => /cost/i.test(name));
  return found ? String(found[1]) : null;
}
