// The list of threads: live, filtered, by pages.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { Problem, type ThreadPage, call, pathOf, queryOf } from "./api";
import { Link, address, go, place } from "./router";
import { Empty, State, When, Wrong, now } from "./ui";

/** In a namespace that does not know our search attributes a thread is `open`, whether it runs, waits or is paused. */
const FILTERS: [string, string, string[]][] = [
  ["", "All", []],
  ["waiting", "Waiting for people", ["waiting"]],
  ["open", "Open", ["open"]],
  ["running", "Running", ["running"]],
  ["failed", "Failed", ["failed", "paused", "terminated", "timed_out"]],
  ["over", "Over", ["idle", "cancelled"]],
];
/** Which of the open ones these are, search attributes tell. */
const TOLD_BY_ATTRIBUTES = ["waiting", "running", "paused"];
const PER_PAGE = "50";
const POLL = 3_000;

export function Threads() {
  const query = place.value.query;
  const filter = query.get("state") ?? "";
  const search = query.get("search") ?? "";
  const cursor = query.get("cursor");
  const page = useSignal<ThreadPage | null>(null);
  const error = useSignal<unknown>(null);
  const untold = useSignal(false);
  const states = FILTERS.find(([name]) => name === filter)?.[2] ?? [];

  useEffect(() => {
    const leaving = new AbortController();
    let timer = 0;
    page.value = null;
    untold.value = false;
    const read = () => {
      const told = states.filter((state) => !TOLD_BY_ATTRIBUTES.includes(state));
      const wanted = !untold.value ? states : told.length ? told : ["open"];
      const query = queryOf({ state: wanted, search, cursor, limit: PER_PAGE });
      return call<ThreadPage>(`${pathOf("threads")}${query}`, undefined, leaving.signal);
    };
    const look = async () => {
      try {
        if (!document.hidden || page.value === null) {
          page.value = await read().catch((caught: unknown) => {
            if (!(caught instanceof Problem && caught.title === "Search attributes")) throw caught;
            untold.value = true;
            return read();
          });
          error.value = null;
          now.value = Date.now();
        }
      } catch (caught) {
        if (leaving.signal.aborted) return;
        error.value = caught;
      }
      timer = window.setTimeout(() => void look(), POLL);
    };
    void look();
    return () => {
      leaving.abort();
      clearTimeout(timer);
    };
  }, [filter, search, cursor]);

  const wanted = (changes: { [name: string]: string }) =>
    address() + queryOf({ state: filter, search, ...changes, cursor: changes.cursor ?? "" });
  const threads = page.value?.threads ?? [];
  return (
    <>
      <div class="head">
        <h1>Threads</h1>
        <Link to={address("workflows", "")} class="button first">
          Start a thread
        </Link>
      </div>
      <div class="filters">
        <nav aria-label="Filter by state" class="tabs">
          {FILTERS.map(([name, label]) => (
            <Link key={name} to={wanted({ state: name })} current={name === filter}>
              {label}
            </Link>
          ))}
        </nav>
        <form
          role="search"
          onSubmit={(event) => {
            event.preventDefault();
            go(wanted({ search: new FormData(event.currentTarget).get("search")?.toString() ?? "" }));
          }}
        >
          <input type="search" name="search" aria-label="Search by the beginning of a thread's id" placeholder="Thread id begins with …" defaultValue={search} key={search} />
        </form>
      </div>
      {error.value !== null && <Wrong error={error.value} />}
      {untold.value && (
        <div class="note" role="status">
          <p>
            {`Which open threads wait, run or are paused is not told here: the search attributes of the namespace are not registered. ${
              filter === "failed" ? "Paused threads are left out." : "All open threads are shown."
            } Register them, and threads that begin then are found:`}
          </p>
          <p>
            <code>agent-framework-temporal attributes register</code>
          </p>
        </div>
      )}
      {page.value === null && error.value === null && <div class="skeleton" aria-hidden="true" />}
      {page.value !== null && threads.length === 0 && (
        <Empty>{filter || search ? "No matching threads." : "No threads yet. Start one, and it appears here."}</Empty>
      )}
      {threads.length > 0 && (
        <table class="list" aria-label="Threads">
          <thead>
            <tr>
              <th scope="col">Thread</th>
              <th scope="col">State</th>
              <th scope="col">Workflow</th>
              <th scope="col">Since</th>
              <th scope="col">Started</th>
            </tr>
          </thead>
          <tbody>
            {threads.map((thread) => (
              <tr key={thread.thread_id}>
                <th scope="row" data-label="Thread">
                  <Link to={address("threads", thread.thread_id)} class="thread-name">
                    {thread.thread_id}
                  </Link>
                  {thread.tags.map((tag) => (
                    <span key={tag} class="tag">
                      {tag}
                    </span>
                  ))}
                  {thread.failure && <span class="failure-line">{thread.failure}</span>}
                </th>
                <td data-label="State">
                  <State state={thread.state} />
                  {!!thread.pending_requests && <span class="count">{thread.pending_requests}</span>}
                </td>
                <td data-label="Workflow">{thread.workflow}</td>
                <td data-label="Since">
                  <When at={thread.since} />
                </td>
                <td data-label="Started">
                  <When at={thread.started_at} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {!!page.value?.unreadable && (
        <p class="hint">{`${page.value.unreadable} threads are left out: this service has no key for them, or cannot read them.`}</p>
      )}
      <div class="row pages">
        {cursor && <Link to={wanted({})}>First page</Link>}
        {page.value?.next && <Link to={wanted({ cursor: page.value.next })}>Next page</Link>}
      </div>
    </>
  );
}
