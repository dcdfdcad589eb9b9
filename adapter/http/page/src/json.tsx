// JSON for people: text nodes only, folded where it is much, and never all of a large value at once.
import { useSignal } from "@preact/signals";
import type { Json } from "./api";

const LONG_TEXT = 2_000;
const MANY = 50;
const OPEN_DEPTH = 3;

export function Value({ value, depth = 0 }: { value: Json | undefined; depth?: number }) {
  if (value === null || value === undefined) return <span class="json-word">null</span>;
  if (typeof value === "string") return <Text text={value} quoted={depth > 0} />;
  if (typeof value !== "object") return <span class="json-word">{String(value)}</span>;
  const entries: [string, Json][] = Array.isArray(value)
    ? value.map((item, index) => [String(index), item])
    : Object.entries(value);
  if (entries.length === 0) return <span class="json-word">{Array.isArray(value) ? "[]" : "{}"}</span>;
  return <Entries entries={entries} depth={depth} isList={Array.isArray(value)} />;
}

function Entries({ entries, depth, isList }: { entries: [string, Json][]; depth: number; isList: boolean }) {
  const most = useSignal(MANY);
  const isOpen = useSignal(depth < OPEN_DEPTH);
  if (!isOpen.value) {
    return (
      <button type="button" class="small" aria-expanded={false} onClick={() => (isOpen.value = true)}>
        {`${entries.length} ${isList ? "item" : "field"}${entries.length === 1 ? "" : "s"}`}
      </button>
    );
  }
  return (
    <dl class="json">
      {entries.slice(0, most.value).map(([key, item]) => (
        <div key={key} class={isFolded(item) ? "json-nested" : "json-row"}>
          <dt class={key === "$type" ? "quiet" : undefined}>{key}</dt>
          <dd>
            <Value value={item} depth={depth + 1} />
          </dd>
        </div>
      ))}
      {entries.length > most.value && (
        <button type="button" class="small" onClick={() => (most.value += 10 * MANY)}>
          {entries.length - most.value} more
        </button>
      )}
    </dl>
  );
}

function isFolded(item: Json): boolean {
  return item !== null && typeof item === "object" && Object.keys(item).length > 0;
}

export function Text({ text, quoted = false, most = LONG_TEXT }: { text: string; quoted?: boolean; most?: number }) {
  const whole = useSignal(false);
  const shown = whole.value || text.length <= most ? text : `${text.slice(0, most)} …`;
  return (
    <>
      <span class={quoted ? "text json-text" : "text"} dir="auto">
        {shown}
      </span>
      {!whole.value && text.length > most && (
        <button type="button" class="small" onClick={() => (whole.value = true)}>
          all {text.length} characters
        </button>
      )}
    </>
  );
}

/** Return the words of what an agent or an executor has yielded; null where it has none. */
export function wordsOf(data: Json | undefined): string | null {
  if (typeof data === "string") return data;
  if (data === null || typeof data !== "object" || Array.isArray(data)) return null;
  if (typeof data.text === "string" && typeof data.type === "string" && data.contents === undefined) return data.text;
  if (Array.isArray(data.contents)) {
    const texts = data.contents.map((item) =>
      item && typeof item === "object" && !Array.isArray(item) && typeof item.text === "string" ? item.text : null,
    );
    return texts.every((text) => text !== null) ? texts.join("") : null;
  }
  if (Array.isArray(data.messages)) {
    const texts = data.messages.map(wordsOf);
    return texts.every((text) => text !== null) ? texts.join("\n\n") : null;
  }
  return null;
}

/** Tell whether data is a piece of an answer that is still being written. */
export function isPiece(data: Json | undefined): boolean {
  return (
    data !== null && typeof data === "object" && !Array.isArray(data) && data.type === "agent_response_update"
  );
}
