// Small parts that every page is made of.
import { signal, useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Problem, call } from "./api";

/** What a screen reader is told, politely. */
export const announced = signal("");
export const now = signal(Date.now());
setInterval(() => {
  if (!document.hidden) now.value = Date.now();
}, 5_000);

const WORDS: { [state: string]: string } = {
  waiting: "waiting for people",
  timed_out: "timed out",
  lost: "worker lost",
};

export function State({ state }: { state: string }) {
  return (
    <span class="state" data-state={state.startsWith("paused") ? "paused" : state}>
      {WORDS[state] ?? state}
    </span>
  );
}

/** When something was: in words, and exactly as a title. */
export function When({ at }: { at: string | null | undefined }) {
  if (!at) return <span class="quiet">–</span>;
  const date = new Date(at);
  return (
    <time dateTime={at} title={date.toLocaleString()}>
      {ago(Math.max(0, (now.value - date.getTime()) / 1000))}
    </time>
  );
}

function ago(seconds: number): string {
  if (seconds < 10) return "just now";
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} d ago`;
}

export function lasted(seconds: number | null): string {
  if (seconds === null) return "–";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  return seconds < 100 ? `${seconds.toFixed(1)} s` : `${Math.round(seconds / 60)} min`;
}

export function bytes(count: number): string {
  return count < 1024 ? `${count} B` : count < 1048576 ? `${(count / 1024).toFixed(1)} KB` : `${(count / 1048576).toFixed(1)} MB`;
}

const RETRY = 2_000;

/** Read what is at an address; again when `changes` do, and while it cannot be reached. */
export function useRead<T>(path: string | null, ...changes: unknown[]) {
  const value = useSignal<T | null>(null);
  const error = useSignal<unknown>(null);
  useEffect(() => {
    value.value = null;
    error.value = null;
  }, [path]);
  useEffect(() => {
    if (path === null) return;
    const leaving = new AbortController();
    let timer = 0;
    const look = async () => {
      try {
        const found = await call<T>(path, undefined, leaving.signal);
        if (leaving.signal.aborted) return;
        value.value = found;
        error.value = null;
      } catch (caught) {
        if (leaving.signal.aborted) return;
        error.value = caught;
        const isAway = caught instanceof Problem && (caught.status === 0 || caught.status >= 429);
        if (isAway) timer = window.setTimeout(() => void look(), RETRY);
      }
    };
    void look();
    return () => {
      leaving.abort();
      clearTimeout(timer);
    };
  }, [path, ...changes]);
  return { value, error };
}

export function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export function Wrong({ error }: { error: unknown }) {
  if (!error) return null;
  const problem = error instanceof Problem ? error : new Problem(0, "Failed", textOf(error));
  return (
    <div class="wrong" role="alert">
      <strong>{problem.title}</strong>
      <p>{problem.detail}</p>
      {problem.errors.length > 0 && (
        <ul>
          {problem.errors.map((text) => (
            <li key={text}>{text}</li>
          ))}
        </ul>
      )}
    </div>
  );
}

/** A button that tells that it is at work, and what has gone wrong. */
export function Action(props: {
  label: string;
  act: () => Promise<unknown>;
  failed: (error: unknown) => void;
  kind?: "first" | "danger";
  sure?: string;
  title?: string;
}) {
  const busy = useSignal(false);
  const asks = useSignal(false);
  const act = async () => {
    asks.value = false;
    busy.value = true;
    props.failed(null);
    try {
      await props.act();
      announced.value = `${props.label}: done`;
    } catch (error) {
      props.failed(error);
    } finally {
      busy.value = false;
    }
  };
  return (
    <>
      <button
        type="button"
        class={props.kind}
        title={props.title}
        aria-disabled={busy.value}
        onClick={() => !busy.value && (props.sure ? (asks.value = true) : void act())}
      >
        {busy.value ? `${props.label} …` : props.label}
      </button>
      {asks.value && (
        <Dialog title={props.label} close={() => (asks.value = false)}>
          <p>{props.sure}</p>
          <div class="row end">
            <button type="button" onClick={() => (asks.value = false)}>
              Back
            </button>
            <button type="button" class={props.kind ?? "first"} onClick={() => void act()}>
              {props.label}
            </button>
          </div>
        </Dialog>
      )}
    </>
  );
}

export function Dialog(props: { title: string; close: () => void; children: ComponentChildren }) {
  const element = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const before = document.activeElement;
    element.current?.showModal();
    return () => {
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return (
    <dialog ref={element} aria-label={props.title} onClose={props.close}>
      <h2>{props.title}</h2>
      {props.children}
    </dialog>
  );
}

export function Copy({ text, label }: { text: string; label: string }) {
  const done = useSignal(false);
  const copy = async () => {
    await navigator.clipboard?.writeText(text);
    done.value = true;
    announced.value = `${label}: copied`;
    setTimeout(() => (done.value = false), 2_000);
  };
  return (
    <button type="button" class="small" onClick={() => void copy()} aria-label={`Copy ${label}`}>
      {done.value ? "Copied" : "Copy link"}
    </button>
  );
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <p class="empty">{children}</p>;
}
