// What people have typed and chosen and not sent yet: it is there until it is sent, whatever is read anew meanwhile and
// wherever they look. It is kept in the page alone: a reload forgets it.
import { type Signal, signal } from "@preact/signals";
import { useMemo } from "preact/hooks";

const MOST = 500;
const kept = new Map<string, Signal<unknown>>();

/** Return the place of what is typed for a thing, by what tells it from others. */
export function placeOf(...parts: string[]): string {
  return JSON.stringify(parts);
}

/** Return what was typed at a place; the same each time until it is dropped. */
export function useDraft<T>(place: string, name: string, initial: T): Signal<T> {
  return useMemo(() => {
    const key = `${place} ${name}`;
    const found = (kept.get(key) as Signal<T> | undefined) ?? signal(initial);
    kept.delete(key);
    kept.set(key, found);
    if (kept.size > MOST) kept.delete(kept.keys().next().value ?? key);
    return found;
  }, [place, name]);
}

/** Tell whether something was typed at a place. */
export function isTyped(place: string): boolean {
  return kept.get(`${place} typed`)?.peek() === true;
}

/** Forget what was typed at a place, as it was sent. */
export function drop(place: string): void {
  for (const key of [...kept.keys()]) if (key.startsWith(`${place} `)) kept.delete(key);
}
