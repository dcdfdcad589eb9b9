// A thread's events in this browser: those before, by pages of the timeline, and those that come, by one stream.
import { signal } from "@preact/signals";
import { type Superstep, type ThreadEvent, type Timeline, call, needsToken, outage, pathOf, queryOf } from "./api";

const PAGE = "20";
const FIRST_RETRY = 500;
const LONGEST_RETRY = 8_000;
/** For less than this the service answers with what it has read before. */
const KEPT = 700;

export class ThreadLog {
  /** Of a change: what shows events looks again, once a frame. */
  readonly version = signal(0);
  readonly live = signal<"connecting" | "live" | "lost">("connecting");
  readonly hasOlder = signal(false);
  readonly isLoading = signal(true);
  supersteps: Superstep[] = [];
  private readonly events = new Map<number, ThreadEvent>();
  private sorted: ThreadEvent[] | null = null;
  private source: EventSource | null = null;
  private cursor: string | null = null;
  private last: string | null = null;
  private retry = FIRST_RETRY;
  private timer = 0;
  private anew = 0;
  private frame = 0;
  private closed = false;

  constructor(
    private readonly threadId: string,
    /** Told when the thread may stand elsewhere now. */
    private readonly moved: () => void,
  ) {}

  async open(): Promise<void> {
    try {
      const page = await this.page(null);
      if (this.closed) return;
      this.cursor = page.next;
      this.hasOlder.value = page.next !== null;
      const newest = page.supersteps[0];
      const after = !newest ? -1 : newest.last_offset !== null ? newest.last_offset : newest.first_offset - 1;
      this.last = newest ? `${after}@${newest.run_id}` : String(after);
    } finally {
      this.isLoading.value = false;
    }
    this.connect();
  }

  /** Load the page of the timeline before those that are there. */
  async older(): Promise<void> {
    if (this.cursor === null || this.isLoading.value) return;
    this.isLoading.value = true;
    try {
      const page = await this.page(this.cursor);
      this.cursor = page.next;
      this.hasOlder.value = page.next !== null;
    } finally {
      this.isLoading.value = false;
    }
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
    clearTimeout(this.anew);
    cancelAnimationFrame(this.frame);
    this.source?.close();
  }

  all(): ThreadEvent[] {
    this.sorted ??= [...this.events.values()].sort((one, other) => one.offset - other.offset);
    return this.sorted;
  }

  /** Look again at the newest supersteps; what came by the stream has no worker, calls or duration. */
  async refresh(): Promise<void> {
    const page = await call<Timeline>(pathOf("threads", this.threadId, "timeline") + queryOf({ limit: PAGE }));
    this.keep(page.supersteps);
  }

  /** Read the supersteps anew: the run was reset, and what came after that point has not happened. */
  private async startOver(): Promise<void> {
    try {
      const page = await this.page(null, true);
      this.cursor = page.next;
      this.hasOlder.value = page.next !== null;
    } catch {
      this.again();
    }
  }

  private async page(cursor: string | null, anew = false): Promise<Timeline> {
    const query = queryOf({ limit: PAGE, events: "true", cursor });
    const page = await call<Timeline>(pathOf("threads", this.threadId, "timeline") + query);
    if (anew) this.supersteps = [];
    this.keep(page.supersteps);
    for (const superstep of page.supersteps) for (const event of superstep.events ?? []) this.take(event);
    this.changed();
    return page;
  }

  private keep(found: Superstep[]): void {
    const known = new Map(this.supersteps.map((one) => [`${one.run_id} ${one.event_id}`, one]));
    for (const one of found) {
      const key = `${one.run_id} ${one.event_id}`;
      known.set(key, { ...one, events: one.events ?? known.get(key)?.events ?? null });
    }
    this.supersteps = [...known.values()].sort((one, other) => other.scheduled_at.localeCompare(one.scheduled_at));
    this.changed();
  }

  private take(event: ThreadEvent): void {
    this.events.set(event.offset, { ...event, executor_id: event.executor_id ?? event.source_executor_id });
    this.sorted = null;
  }

  private changed(): void {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => {
      this.version.value += 1;
    });
  }

  private connect(): void {
    if (this.closed) return;
    this.source?.close();
    const address = pathOf("threads", this.threadId, "events") + queryOf({ after: this.last, follow: "true" });
    const source = new EventSource(address);
    this.source = source;
    source.onopen = () => {
      this.live.value = "live";
      this.retry = FIRST_RETRY;
      outage.value = null;
      this.moved();
    };
    source.onmessage = (message) => {
      if (message.lastEventId) this.last = message.lastEventId;
      this.came(JSON.parse(message.data) as ThreadEvent);
    };
    source.addEventListener("standing", (message) => {
      if (message.lastEventId) this.last = message.lastEventId;
      this.moved();
    });
    source.addEventListener("problem", () => this.again());
    source.onerror = () => this.again();
  }

  private came(event: ThreadEvent): void {
    if (event.type === "live_events_discarded") {
      for (const offset of event.offsets ?? []) this.events.delete(offset);
      this.sorted = null;
      if (event.attempt == null) {
        clearTimeout(this.anew);
        this.anew = window.setTimeout(() => void this.startOver(), KEPT);
      }
    } else {
      this.take(event);
    }
    if (/^(superstep_|request_|failed|executor_failed|status|response_)/.test(event.type)) this.moved();
    this.changed();
  }

  /** Connect anew, and read on from the last event: a browser does so itself only where the connection broke. */
  private again(): void {
    this.source?.close();
    if (this.closed || needsToken.value) return;
    this.live.value = "lost";
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.connect(), this.retry);
    this.retry = Math.min(this.retry * 2, LONGEST_RETRY);
    this.moved();
  }
}
