// Addresses: each thing has one of its own, which stays.
import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";

export const root: string = document.body.dataset.root ?? "";

interface Place {
  parts: string[];
  query: URLSearchParams;
}

function read(): Place {
  const path = location.pathname.startsWith(root) ? location.pathname.slice(root.length) : location.pathname;
  const parts = path.split("/").filter(Boolean);
  return { parts: parts.map(decoded), query: new URLSearchParams(location.search) };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export const place = signal<Place>(read());
addEventListener("popstate", () => (place.value = read()));

/** Return the address of a thing, below where the application is mounted. */
export function address(...parts: string[]): string {
  return `${root}/${parts.map(encodeURIComponent).join("/")}`;
}

export function go(to: string, replace = false): void {
  history[replace ? "replaceState" : "pushState"](null, "", to);
  place.value = read();
  if (!replace) {
    scrollTo(0, 0);
    document.getElementById("content")?.focus({ preventScroll: true });
  }
}

export function Link(props: {
  to: string;
  class?: string;
  children: ComponentChildren;
  current?: boolean;
  label?: string;
}) {
  const follow = (event: MouseEvent) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || event.button !== 0) return;
    event.preventDefault();
    go(props.to);
  };
  return (
    <a
      href={props.to}
      class={props.class}
      onClick={follow}
      aria-current={props.current ? "page" : undefined}
      aria-label={props.label}
    >
      {props.children}
    </a>
  );
}
