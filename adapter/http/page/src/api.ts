// The HTTP API, as its OpenAPI document has it.
import { signal } from "@preact/signals";
import { root } from "./router";

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };
export type Schema = JsonObject;

export interface ThreadSummary {
  thread_id: string;
  workflow: string;
  run_id: string;
  state: string;
  since: string;
  started_at: string;
  pending_requests: number | null;
  failure: string | null;
  tags: string[];
  temporal: string | null;
}

export interface ThreadPage {
  threads: ThreadSummary[];
  next: string | null;
  unreadable: number;
}

export interface PendingRequest {
  thread_id: string;
  request_id: string;
  executor_id: string;
  asked_at: string;
  request: Json;
  request_type: string;
  response_type: string;
  response_schema: Schema | null;
  deadline?: string | null;
  on_deadline?: string | null;
  errors?: { at: string; responder?: string; error: string }[] | null;
}

export interface Attempt {
  attempt: number;
  state: string;
  failures: number;
  last_failure: string | null;
  worker: string | null;
  next_at: string | null;
}

export interface ThreadDetail {
  thread_id: string;
  workflow: string;
  state: string;
  run_id: string;
  task_queue: string;
  started_at: string;
  closed_at: string | null;
  history_events: number;
  history_bytes: number;
  worker: boolean;
  attempt: Attempt | null;
  failure: { error_type: string | null; message: string; executor_id: string | null; superstep: number | null } | null;
  pending_requests: PendingRequest[];
  superstep: number | null;
  executors: string[];
  checkpoint_id: string | null;
  queued_messages: { message_id: string; received_at: string; when_running: string; message: string }[] | null;
  pause: { kind: string; reason?: string; responder?: string; executors?: string[] } | null;
  breakpoints: string[] | null;
  usage: { [name: string]: number } | null;
  known: boolean;
  temporal: string | null;
}

export interface ThreadEvent {
  type: string;
  offset: number;
  superstep?: number;
  attempt?: number;
  at?: string;
  live?: boolean;
  executor_id?: string;
  source_executor_id?: string;
  request_id?: string;
  state?: string;
  data?: Json;
  data_bytes?: number;
  error?: { type?: string; message?: string } | string;
  details?: { error_type?: string; message?: string };
  offsets?: number[];
}

export interface GivenAnswer {
  request_id: string;
  cancelled: boolean;
  responder: string | null;
  at: string | null;
}

export interface Superstep {
  run_id: string;
  event_id: number;
  superstep: number | null;
  mode: string;
  state: string;
  running: boolean;
  scheduled_at: string;
  started_at: string | null;
  ended_at: string | null;
  seconds: number | null;
  attempts: number;
  worker: string | null;
  checkpoint_id: string | null;
  answers: GivenAnswer[];
  first_offset: number;
  last_offset: number | null;
  failure: string | null;
  calls_made: { [name: string]: number };
  calls_taken: { [name: string]: number };
  usage: { [name: string]: number };
  events: ThreadEvent[] | null;
}

export interface Timeline {
  supersteps: Superstep[];
  next: string | null;
}

export interface CheckpointSummary {
  checkpoint_id: string;
  previous_checkpoint_id: string | null;
  superstep: number;
  timestamp: string;
  kind: string;
  state: string;
  size_bytes: number;
  history_bytes: number;
  edited_by: string | null;
}

export interface Difference {
  kind: "added" | "removed" | "changed";
  place: string;
  before: Json;
  after: Json;
}

export interface Graph {
  start_executor_id: string;
  edge_groups: { type: string; edges: { source_id: string; target_id: string; condition_name?: string }[] }[];
  executors: { [id: string]: { id: string; type: string; workflow?: Graph } };
}

export interface Workflow {
  name: string;
  description: string | null;
  functional: boolean;
  inputs: { type: string; json_schema: Schema | null }[];
  graph: Graph | null;
}

/** A problem that the service has told (application/problem+json), or that it cannot be reached. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
    readonly errors: string[] = [],
  ) {
    super(detail || title);
  }
}

/** Whether the service wants a token first. */
export const needsToken = signal(false);
/** What could not be reached just now; null where all is well. */
export const outage = signal<string | null>(null);

export const API = `${root}/api/v1`;

export function pathOf(...parts: string[]): string {
  return `${API}/${parts.map(encodeURIComponent).join("/")}`;
}

export async function call<T>(path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const sent: RequestInit =
    body === undefined
      ? { signal }
      : { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" }, signal };
  let response: Response;
  try {
    response = await fetch(path, { ...sent, credentials: "same-origin", cache: "no-store" });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    outage.value = "The service cannot be reached. What you see may be old; it is tried again.";
    throw new Problem(0, "Not reached", "The service cannot be reached. Try again in a moment.");
  }
  outage.value = null;
  if (response.ok) return (await response.json()) as T;
  if (response.status === 401) needsToken.value = true;
  throw await problemOf(response);
}

async function problemOf(response: Response): Promise<Problem> {
  try {
    const said = (await response.json()) as { title?: string; detail?: string; errors?: string[] };
    return new Problem(response.status, said.title ?? response.statusText, said.detail ?? "", said.errors ?? []);
  } catch {
    return new Problem(response.status, response.statusText || "Failed", "The service has answered with no reason.");
  }
}

export function queryOf(values: { [name: string]: string | string[] | null | undefined }): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    for (const one of Array.isArray(value) ? value : value ? [value] : []) query.append(name, one);
  }
  const text = query.toString();
  return text ? `?${text}` : "";
}
