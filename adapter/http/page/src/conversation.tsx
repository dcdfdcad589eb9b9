// What a thread has said: inputs, answers as they are written, requests, failures; or all of its events.
import { useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import type { GivenAnswer, Json, Superstep, ThreadEvent } from "./api";
import { Text, Value, isPiece, wordsOf } from "./json";
import { Link, address } from "./router";
import type { ThreadLog } from "./thread_log";
import { When } from "./ui";

/** As many are in the page at a time, however long the thread is. */
const WINDOW = 150;
const NEAR = 60;
/** Of what is said more is shown than of other data: it is read as it is written. */
const MOST_SAID = 100_000;

export interface Item {
  key: number;
  kind: "input" | "output" | "request" | "note" | "failure" | "event";
  title: string;
  superstep?: number;
  at?: string;
  live: boolean;
  words: string | null;
  /** Whether what was said before it is not here: only the newest of what runs is told as it comes. */
  isCut?: boolean;
  data?: Json;
  requestId?: string;
  attempt?: number;
}

/** Return what became of a request, in words. */
export function endOf(answer: GivenAnswer): string {
  if (!answer.cancelled) return `${answer.responder ?? "Somebody"} answered`;
  return answer.responder === null ? "The request was cancelled" : `${answer.responder} cancelled the request`;
}

export function itemsOf(events: ThreadEvent[], all: boolean, supersteps: Superstep[]): Item[] {
  const items: Item[] = [];
  let begins = false;
  // What was told while it ran is part of the log once anything after it is.
  const logged = events.reduce((most, event) => (event.live ? most : Math.max(most, event.offset)), -1);
  const offsets = new Set(events.map((event) => event.offset));
  const answered = supersteps.filter((one) => one.answers.length).sort((one, other) => one.first_offset - other.first_offset);
  const note = ({ first_offset, answers, superstep }: Superstep) =>
    answers.forEach((answer, index) => {
      const key = first_offset - 0.5 + index / 1_000;
      const item = { key, kind: "note" as const, title: endOf(answer), superstep: superstep ?? undefined, at: answer.at ?? undefined };
      items.push({ ...item, live: false, words: null, requestId: answer.request_id });
    });
  for (const event of events) {
    while (!all && answered[0] && answered[0].first_offset <= event.offset) note(answered.shift() as Superstep);
    const base = {
      key: event.offset,
      superstep: event.superstep,
      at: event.at,
      live: (event.live ?? false) && event.offset > logged,
      words: wordsOf(event.data),
      data: event.data,
      attempt: event.attempt,
    };
    const name = event.executor_id ?? "";
    if (all) {
      const title = [event.type, name, event.state].filter(Boolean).join(" · ");
      items.push({ ...base, kind: "event", title, data: event.data ?? failureOf(event) });
      continue;
    }
    if (event.type === "started") begins = true;
    else if (event.type === "superstep_completed") begins = false;
    else if (event.type === "executor_invoked" && begins) {
      begins = false;
      items.push({ ...base, kind: "input", title: `To ${name}` });
    } else if (event.type === "output" || event.type === "intermediate" || event.type === "data") {
      const last = items[items.length - 1];
      const goesOn = isPiece(event.data) && last?.kind === "output" && last.title === name && last.superstep === event.superstep;
      const isCut = base.live && !offsets.has(event.offset - 1);
      if (goesOn && isPiece(last.data) && base.words !== null && last.words !== null) {
        last.words += isCut ? ` … ${base.words}` : base.words;
        last.live = base.live;
        last.isCut = last.isCut || isCut;
      } else items.push({ ...base, kind: "output", title: name, isCut, words: isCut && base.words !== null ? `… ${base.words}` : base.words });
    } else if (event.type === "request_info") {
      items.push({ ...base, kind: "request", title: `${name} asks`, requestId: event.request_id });
    } else if (event.type === "failed" || event.type === "executor_failed") {
      // An event says the class of an error; what it said is told with the superstep.
      const around = supersteps.find((one) => one.first_offset <= event.offset && event.offset <= (one.last_offset ?? -1));
      const said = around?.failure ?? failureOf(event);
      const last = items[items.length - 1];
      if (last?.kind === "failure" && last.superstep === event.superstep) continue;
      items.push({ ...base, kind: "failure", title: name ? `${name} failed` : "Failed", words: said, data: said });
    }
  }
  if (!all) answered.forEach(note);
  return items;
}

function failureOf(event: ThreadEvent): string | null {
  if (typeof event.error === "string") return event.error;
  const type = event.details?.error_type ?? event.error?.type;
  const message = event.details?.message ?? event.error?.message;
  const said = [type, message].filter(Boolean);
  return said.length ? [...new Set(said)].join(": ") : null;
}

export function Conversation({ log, threadId, waiting }: { log: ThreadLog; threadId: string; waiting: Set<string> }) {
  const all = useSignal(false);
  const end = useSignal<number | null>(null);
  const follows = useRef(true);
  const box = useRef<HTMLDivElement>(null);
  const version = log.version.value;
  const items = useMemo(() => itemsOf(log.all(), all.value, log.supersteps), [version, all.value]);
  const last = end.value === null ? items.length : Math.min(end.value, items.length);
  const first = Math.max(0, last - WINDOW);
  const shown = items.slice(first, last);

  const top = useRef(0);
  const list = useRef<HTMLOListElement>(null);
  const follow = () => {
    const element = box.current;
    if (element && end.value === null && follows.current) element.scrollTop = element.scrollHeight;
  };
  useLayoutEffect(follow, [version, all.value, end.value]);
  // What is not seen yet gets its true height when it is.
  useEffect(() => {
    const observer = new ResizeObserver(follow);
    if (list.current) observer.observe(list.current);
    return () => observer.disconnect();
  }, []);

  const older = async () => {
    follows.current = false;
    const anchor = shown[0]?.key;
    if (first === 0) await log.older();
    const now = itemsOf(log.all(), all.value, log.supersteps);
    const index = now.findIndex((item) => item.key === anchor);
    end.value = Math.min(now.length, Math.max(WINDOW, index + Math.floor(WINDOW / 3)));
    requestAnimationFrame(() => {
      const element = document.getElementById(`event-${anchor}`);
      if (element && box.current) box.current.scrollTop += element.getBoundingClientRect().top - box.current.getBoundingClientRect().top;
    });
  };
  const newer = () => {
    end.value = last + WINDOW >= items.length ? null : last + Math.floor(WINDOW / 2);
    follows.current = end.value === null;
  };
  return (
    <section class="card conversation" aria-label="Messages">
      <div class="card-head">
        <h2>{all.value ? "All events" : "Messages"}</h2>
        <label class="switch">
          <input type="checkbox" checked={all.value} onChange={() => (all.value = !all.value)} />
          All events
        </label>
      </div>
      <div
        class="log"
        ref={box}
        tabIndex={0}
        role="group"
        aria-label="Messages of the thread, newest last"
        aria-busy={items[items.length - 1]?.live ?? false}
        onScroll={(event) => {
          const element = event.currentTarget;
          // A person who scrolls up stays there; what grows below is no scrolling.
          if (element.scrollHeight - element.scrollTop - element.clientHeight < NEAR) follows.current = true;
          else if (element.scrollTop < top.current) follows.current = false;
          top.current = element.scrollTop;
        }}
      >
        {(first > 0 || log.hasOlder.value) && (
          <button type="button" class="small" onClick={() => void older()} aria-disabled={log.isLoading.value}>
            {log.isLoading.value ? "Loading …" : "Show older"}
          </button>
        )}
        {log.isLoading.value && items.length === 0 && <div class="skeleton" aria-hidden="true" />}
        {!log.isLoading.value && items.length === 0 && <p class="empty">Nothing yet. Messages appear here as they arrive.</p>}
        <ol class="items" ref={list}>
          {shown.map((item) => (
            <Entry key={item.key} item={item} threadId={threadId} waits={item.requestId !== undefined && waiting.has(item.requestId)} />
          ))}
        </ol>
        {last < items.length && (
          <button type="button" class="small" onClick={newer}>
            Show newer
          </button>
        )}
      </div>
    </section>
  );
}

function Writing({ isCut }: { isCut: boolean }) {
  if (!isCut) return <span class="writing">as it comes</span>;
  return (
    <span class="writing" title="The beginning follows when the superstep ends.">
      the newest, as it comes
    </span>
  );
}

function Entry({ item, threadId, waits }: { item: Item; threadId: string; waits: boolean }) {
  return (
    <li id={`event-${item.key}`} class="item" data-kind={item.kind}>
      <div class="item-head">
        <span class="item-title">{item.title}</span>
        {waits && item.requestId !== undefined && item.kind === "request" && (
          <Link to={address("threads", threadId, "requests", item.requestId)}>Answer</Link>
        )}
        <span class="quiet">
          {item.superstep !== undefined && `superstep ${item.superstep}`}
          {item.attempt !== undefined && item.attempt > 1 && `, attempt ${item.attempt}`}
        </span>
        {item.live ? <Writing isCut={item.isCut ?? false} /> : item.at && <When at={item.at} />}
      </div>
      {item.words !== null && (item.kind === "output" || item.kind === "failure") ? (
        <div class="said">
          <Text text={item.words} most={MOST_SAID} />
        </div>
      ) : item.data !== undefined && item.data !== null ? (
        <Value value={item.data} />
      ) : null}
    </li>
  );
}
