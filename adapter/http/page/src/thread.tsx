// One thread: what it says and asks, its graph, supersteps and checkpoints, and what can be done with it.
import { useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { type ThreadDetail, type Workflow, call, outage, pathOf } from "./api";
import { Checkpoints } from "./checkpoints";
import { Conversation } from "./conversation";
import { ThreadGraph } from "./graph";
import { Requests } from "./requests";
import { Link, address, place } from "./router";
import { MessageForm } from "./start";
import { Fact, Supersteps, costOf, tokensOf } from "./supersteps";
import { ThreadLog } from "./thread_log";
import { Action, Copy, State, When, Wrong, announced, bytes, useRead } from "./ui";

const SOON = 120;
const POLL = 5_000;

export function Thread({ id, links }: { id: string; links: boolean }) {
  const detail = useSignal<ThreadDetail | null>(null);
  const error = useSignal<unknown>(null);
  const failed = useSignal<unknown>(null);
  const watch = useMemo(() => new Watch(id, detail, error), [id]);

  useEffect(() => {
    detail.value = null;
    error.value = null;
    watch.start();
    return () => watch.stop();
  }, [id]);
  const name = detail.value?.workflow;
  const known = detail.value?.known ?? false;
  const { value: workflow } = useRead<Workflow>(name && known ? pathOf("workflows", name) : null);
  useEffect(() => {
    if (detail.value) announced.value = `The thread is ${detail.value.state}`;
  }, [detail.value?.state]);

  const [, , tab = "", ...more] = place.value.parts;
  const found = detail.value;
  if (!found) {
    return (
      <>
        <div class="head" key="unread">
          <h1 class="cut">{id}</h1>
        </div>
        {error.value !== null ? <Wrong error={error.value} /> : <div class="skeleton tall" key="nothing" aria-hidden="true" />}
      </>
    );
  }
  const waiting = new Set(found.pending_requests.map((request) => request.request_id));
  return (
    <>
      <Head detail={found} watch={watch} failed={(caught) => (failed.value = caught)} />
      <Wrong error={failed.value} />
      {/* That the service is away is said once, for all of the page. */}
      {outage.value === null && <Wrong error={error.value} />}
      <Standing detail={found} live={watch.log.live.value} />
      <nav class="tabs" aria-label="Parts of the thread">
        <Link to={address("threads", id)} current={tab === "" || tab === "requests"}>
          Run
        </Link>
        <Link to={address("threads", id, "supersteps")} current={tab === "supersteps"}>
          Supersteps
        </Link>
        <Link to={address("threads", id, "checkpoints")} current={tab === "checkpoints" || tab === "compare"}>
          Checkpoints
        </Link>
      </nav>
      {tab === "supersteps" ? (
        <Supersteps log={watch.log} threadId={id} chosen={more} />
      ) : tab === "checkpoints" || tab === "compare" ? (
        <Checkpoints detail={found} chosen={tab === "checkpoints" ? (more[0] ?? null) : null} compared={tab === "compare" ? more.slice(0, 2) : []} />
      ) : (
        <div class="columns run">
          <div>
            <Conversation log={watch.log} threadId={id} waiting={waiting} />
            <MessageForm detail={found} workflow={workflow.value} moved={watch.moved} />
            {/* What is asked comes last: so it moves nothing that somebody reads or writes. */}
            <RunRequests log={watch.log} requests={found.pending_requests} chosen={tab === "requests" ? (more[0] ?? null) : null} worker={found.worker} moved={watch.moved} links={links} />
          </div>
          <aside>
            <GraphCard detail={found} workflow={workflow.value} log={watch.log} moved={watch.moved} />
            {(workflow.value !== null || !found.known) && <Facts detail={found} />}
          </aside>
        </div>
      )}
    </>
  );
}

/** Keeps what is known of a thread new: at once when its stream tells something, and now and then. */
class Watch {
  readonly log: ThreadLog;
  private soon = 0;
  private later = 0;
  private reading = false;
  private again = false;
  private leaving = new AbortController();

  constructor(
    private readonly id: string,
    private readonly detail: { value: ThreadDetail | null },
    private readonly error: { value: unknown },
  ) {
    this.log = new ThreadLog(id, this.moved);
  }

  start(): void {
    void this.read();
    this.log.open().catch((caught: unknown) => (this.error.value = caught));
  }

  stop(): void {
    this.leaving.abort();
    clearTimeout(this.soon);
    clearTimeout(this.later);
    this.log.close();
  }

  moved = (): void => {
    clearTimeout(this.soon);
    this.soon = window.setTimeout(() => void this.read(), SOON);
  };

  private async read(): Promise<void> {
    if (this.reading) {
      this.again = true;
      return;
    }
    this.reading = true;
    clearTimeout(this.later);
    try {
      const found = await call<ThreadDetail>(pathOf("threads", this.id), undefined, this.leaving.signal);
      const before = this.detail.value;
      this.detail.value = found;
      this.error.value = null;
      const hasMoved = before !== null && (before.history_events !== found.history_events || before.run_id !== found.run_id);
      if (hasMoved && !this.log.isLoading.value) await this.log.refresh();
    } catch (caught) {
      if (!this.leaving.signal.aborted) this.error.value = caught;
    } finally {
      this.reading = false;
    }
    if (this.leaving.signal.aborted) return;
    if (this.again) {
      this.again = false;
      this.moved();
      return;
    }
    this.later = window.setTimeout(() => void this.poll(), POLL);
  }

  private async poll(): Promise<void> {
    if (!document.hidden) return this.read();
    this.later = window.setTimeout(() => void this.poll(), POLL);
  }
}

function Head({ detail, watch, failed }: { detail: ThreadDetail; watch: Watch; failed: (error: unknown) => void }) {
  const send = (what: string, body: unknown = {}) => async () => {
    await call(pathOf("threads", detail.thread_id, what), body);
    watch.moved();
  };
  const isOpen = detail.closed_at === null;
  const isHeld = detail.pause !== null && detail.pause !== undefined;
  const state = detail.state;
  const asked = detail.pending_requests[0];
  const [, , tab] = place.value.parts;
  const stuck = state === "paused" && !isHeld;
  return (
    <div class="head">
      <div>
        <h1 class="cut">{detail.thread_id}</h1>
        <p class="row under">
          <State state={state} />
          <span class="quiet">
            {detail.known ? <Link to={address("workflows", detail.workflow)}>{detail.workflow}</Link> : detail.workflow} · <When at={detail.started_at} />
          </span>
          <Copy text={location.href} label="the address" />
          {detail.temporal && (
            <a href={safeAddress(detail.temporal)} rel="noreferrer" target="_blank">
              Temporal
            </a>
          )}
        </p>
      </div>
      <div class="row actions" role="group" aria-label="Actions">
        {asked && tab !== "requests" && (
          <Link to={address("threads", detail.thread_id, "requests", asked.request_id)} class="button first answer">
            Answer
          </Link>
        )}
        {stuck && <Action label="Retry" kind="first" act={send("retry")} failed={failed} />}
        {isHeld && <Action label="Continue" kind="first" act={send("continue")} failed={failed} />}
        {!isOpen && state !== "idle" && <Action label="Resume" kind="first" act={send("resume")} failed={failed} />}
        {isOpen && !isHeld && !stuck && <Action label="Pause" act={send("pause", {})} failed={failed} />}
        {isOpen && <Action label="Cancel" kind="danger" sure="This cancels what is running. You can resume the thread from its last checkpoint." act={send("cancel")} failed={failed} />}
      </div>
    </div>
  );
}

/** An address that leads somewhere, and runs nothing. */
function safeAddress(text: string): string | undefined {
  return /^https?:\/\//i.test(text) ? text : undefined;
}

function Standing({ detail, live }: { detail: ThreadDetail; live: string }) {
  const { failure, pause, attempt } = detail;
  const isOpen = detail.closed_at === null;
  return (
    <div class="standing">
      {failure && (
        <div class="wrong" role="status">
          <strong>{failure.executor_id ? `${failure.executor_id} failed` : "Failed"}</strong>
          <p class="text">{`${failure.error_type ? `${failure.error_type}: ` : ""}${failure.message}`}</p>
        </div>
      )}
      {pause && (
        <p class="note" role="status">
          {pause.kind === "breakpoint" ? `Held before ${(pause.executors ?? []).join(", ")}` : `Held by ${pause.responder ?? "somebody"}`}
          {pause.reason ? `: ${pause.reason}` : ""}
        </p>
      )}
      {attempt && attempt.attempt > 1 && (
        <p class="note" role="status">
          {`Attempt ${attempt.attempt}${attempt.last_failure ? `, after: ${attempt.last_failure}` : ""}`}
        </p>
      )}
      {isOpen && !detail.worker && (
        <p class="note" role="status">{`No worker polls task queue ${detail.task_queue}: the thread continues once one does.`}</p>
      )}
      {live === "lost" && outage.value === null && (
        <p class="note toast" role="status">
          The stream of events is interrupted; it is taken up again from where it was.
        </p>
      )}
    </div>
  );
}

function RunRequests({ log, ...props }: Omit<Parameters<typeof Requests>[0], "supersteps"> & { log: ThreadLog }) {
  void log.version.value;
  return <Requests {...props} supersteps={log.supersteps} />;
}

function GraphCard(props: { detail: ThreadDetail; workflow: Workflow | null; log: ThreadLog; moved: () => void }) {
  const { detail, workflow, log, moved } = props;
  void log.version.value;
  return (
    <section class="card" aria-label="Graph">
      <h2>Graph</h2>
      {workflow?.graph && !workflow.functional ? (
        <ThreadGraph graph={workflow.graph} events={log.all()} isWhole={!log.hasOlder.value} detail={detail} moved={moved} />
      ) : workflow?.functional ? (
        <p class="hint">A functional workflow has steps instead of a graph.</p>
      ) : detail.known ? (
        <div class="skeleton" aria-hidden="true" />
      ) : (
        <p class="hint">{`This service does not know workflow ${detail.workflow}: its data is shown as stored, without a graph.`}</p>
      )}
    </section>
  );
}

function Facts({ detail }: { detail: ThreadDetail }) {
  const cost = costOf(detail.usage);
  return (
    <section class="card" aria-label="Facts">
      <h2>Facts</h2>
      <dl class="facts">
        <Fact name="Superstep" value={String(detail.superstep ?? "–")} />
        <Fact name="Tokens" value={tokensOf(detail.usage)} />
        {cost && <Fact name="Cost" value={cost} />}
        <Fact name="Task queue" value={detail.task_queue} />
        <Fact name="Worker" value={detail.worker ? "yes" : "none"} warn={!detail.worker && detail.closed_at === null} />
        <Fact name="History" value={`${detail.history_events.toLocaleString()} events, ${bytes(detail.history_bytes)}`} />
        <Fact name="Run" value={detail.run_id} />
      </dl>
    </section>
  );
}
