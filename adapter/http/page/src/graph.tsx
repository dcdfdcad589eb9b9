// The graph of a workflow, laid out by dagre, with the live state of each executor and edge.
import { graphlib, layout } from "@dagrejs/dagre";
import { useSignal } from "@preact/signals";
import { useMemo } from "preact/hooks";
import { type Graph, type JsonObject, type ThreadDetail, type ThreadEvent, call, pathOf } from "./api";
import { Action, Wrong, useRead } from "./ui";

const HEIGHT = 48;

export interface Activity {
  state: { [executor: string]: "running" | "waiting" | "done" | "failed" | "next" | "unknown" };
  runs: { [executor: string]: number };
  /** How often a message went from one to the other, as far as the events tell. */
  sent: { [edge: string]: number };
}

/** Return what events tell of executors and edges: who was invoked in a superstep was sent to by who ended before it. */
export function activityOf(events: ThreadEvent[], graph: Graph): Activity {
  const found: Activity = { state: {}, runs: {}, sent: {} };
  const sources = new Map<string, string[]>();
  for (const { source_id, target_id } of edgesOf(graph)) sources.set(target_id, [...(sources.get(target_id) ?? []), source_id]);
  const ended = new Map<number, Set<string>>();
  for (const event of events) {
    const name = event.executor_id;
    if (event.type === "request_info" && name) found.state[name] = "waiting";
    if (!name) continue;
    // Of what runs the newest alone may be told: who speaks has begun.
    if (event.live && !found.state[name] && /^(output|intermediate|data)$/.test(event.type)) found.state[name] = "running";
    if (event.type === "executor_invoked") {
      found.state[name] = "running";
      found.runs[name] = (found.runs[name] ?? 0) + 1;
      for (const source of sources.get(name) ?? []) {
        if (ended.get((event.superstep ?? 0) - 1)?.has(source)) {
          const edge = edgeKey(source, name);
          found.sent[edge] = (found.sent[edge] ?? 0) + 1;
        }
      }
    } else if (event.type === "executor_completed") {
      if (found.state[name] !== "waiting") found.state[name] = "done";
      const superstep = event.superstep ?? 0;
      ended.set(superstep, (ended.get(superstep) ?? new Set()).add(name));
    } else if (event.type === "executor_failed") {
      found.state[name] = "failed";
    }
  }
  return found;
}

/** Return what a checkpoint holds of a sub-workflow: who of it waits, and who is next. */
export function innerActivity(held: JsonObject | undefined, graph: Graph): Activity {
  const found: Activity = { state: {}, runs: {}, sent: {} };
  for (const name of Object.keys(graph.executors)) found.state[name] = "unknown";
  for (const message of Array.isArray(held?.messages) ? held.messages : []) {
    const to = (message as JsonObject | null)?.to;
    if (typeof to === "string" && found.state[to]) found.state[to] = "next";
  }
  for (const request of Object.values((held?.pending_requests ?? {}) as JsonObject)) {
    const from = (request as JsonObject | null)?.executor_id;
    if (typeof from === "string" && found.state[from]) found.state[from] = "waiting";
  }
  return found;
}

function edgesOf(graph: Graph) {
  return graph.edge_groups
    .filter((group) => group.type !== "InternalEdgeGroup")
    .flatMap((group) => group.edges.map((edge) => ({ ...edge, group: group.type })));
}

function edgeKey(source: string, target: string): string {
  return JSON.stringify([source, target]);
}

interface Laid {
  width: number;
  height: number;
  nodes: { id: string; kind: string; x: number; y: number; width: number; inner: Graph | null }[];
  edges: { key: string; label: string; path: string; end: { x: number; y: number } }[];
}

function laidOut(graph: Graph): Laid {
  const drawn = new graphlib.Graph();
  drawn.setGraph({ rankdir: "TB", nodesep: 24, ranksep: 40, marginx: 8, marginy: 8 });
  for (const executor of Object.values(graph.executors)) {
    drawn.setNode(executor.id, { width: Math.min(220, 48 + 7.5 * Math.max(executor.id.length, executor.type.length)), height: HEIGHT });
  }
  const edges = edgesOf(graph).filter((edge) => drawn.hasNode(edge.source_id) && drawn.hasNode(edge.target_id));
  for (const edge of edges) drawn.setEdge(edge.source_id, edge.target_id, {});
  layout(drawn);
  const size = drawn.graph();
  return {
    width: size.width ?? 0,
    height: size.height ?? 0,
    nodes: drawn.nodes().map((id) => {
      const { x, y, width } = drawn.node(id);
      const executor = graph.executors[id];
      return { id, kind: executor?.type ?? "", x, y, width, inner: executor?.workflow ?? null };
    }),
    edges: edges.map((edge) => {
      const points = drawn.edge(edge.source_id, edge.target_id).points as { x: number; y: number }[];
      return {
        key: edgeKey(edge.source_id, edge.target_id),
        label: edge.condition_name ?? "",
        path: points.map((point, index) => `${index ? "L" : "M"}${point.x} ${point.y}`).join(""),
        end: points[points.length - 1] ?? { x: 0, y: 0 },
      };
    }),
  };
}

const SAID: { [state: string]: string } = { idle: "not run yet", next: "its message waits", unknown: "not told" };

/** Draws a graph with what is known of it; without that, as of a workflow that is not run, it has no state. */
export function GraphView(props: {
  graph: Graph;
  activity: Activity | null;
  label: string;
  breakpoints?: string[];
  /** What a checkpoint holds, with its sub-workflows. */
  held?: JsonObject;
}) {
  const { graph, label } = props;
  const laid = useMemo(() => laidOut(graph), [graph]);
  const activity = props.activity ?? { state: {}, runs: {}, sent: {} };
  const unfolded = useSignal<string | null>(null);
  const inner = unfolded.value === null ? null : (graph.executors[unfolded.value]?.workflow ?? null);
  return (
    <>
      <div class="graph">
        <svg
          viewBox={`0 0 ${laid.width} ${laid.height}`}
          width={laid.width}
          height={laid.height}
          role="group"
          aria-label={label}
        >
          <defs>
            <marker id="arrow" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto-start-reverse">
              <path d="M0 0 10 5 0 10z" class="arrow" />
            </marker>
          </defs>
          {laid.edges.map((edge) => (
            <path key={edge.key} d={edge.path} class={activity.sent[edge.key] ? "edge taken" : "edge"} marker-end="url(#arrow)">
              <title>{`${(JSON.parse(edge.key) as string[]).join(" → ")}${edge.label ? ` if ${edge.label}` : ""}: ${activity.sent[edge.key] ?? 0} times`}</title>
            </path>
          ))}
          {laid.nodes.map((node) => {
            const state: string = activity.state[node.id] ?? "idle";
            const runs = activity.runs[node.id] ?? 0;
            const isHeld = props.breakpoints?.includes(node.id) ?? false;
            const told = `${SAID[state] ?? state}${runs > 1 ? `, run ${runs} times` : ""}${isHeld ? ", breakpoint" : ""}`;
            const said = props.activity === null ? node.id : `${node.id}: ${told}`;
            const toggle = node.inner ? () => (unfolded.value = unfolded.value === node.id ? null : node.id) : undefined;
            return (
              <g
                key={node.id}
                class="node"
                data-state={state}
                data-executor={node.id}
                transform={`translate(${node.x - node.width / 2} ${node.y - HEIGHT / 2})`}
                role={toggle ? "button" : "img"}
                tabindex={toggle ? 0 : undefined}
                aria-expanded={toggle ? unfolded.value === node.id : undefined}
                aria-label={said}
                onClick={toggle}
                onKeyDown={(event) => {
                  if (toggle && (event.key === "Enter" || event.key === " ")) {
                    event.preventDefault();
                    toggle();
                  }
                }}
              >
                <title>{said}</title>
                <rect width={node.width} height={HEIGHT} rx="10" />
                <text x="12" y="21" class="node-name">
                  {shortened(node.id, node.width)}
                </text>
                <text x="12" y="38" class="node-kind">
                  {shortened(node.inner ? `${unfolded.value === node.id ? "▾" : "▸"} ${node.kind}` : node.kind, node.width)}
                </text>
                {isHeld && <circle cx={node.width - 4} cy="4" r="6" class="breakpoint" />}
                {runs > 1 && (
                  <text x={node.width - 10} y="21" text-anchor="end" class="node-kind">
                    ×{runs}
                  </text>
                )}
              </g>
            );
          })}
        </svg>
      </div>
      {inner && (
        <section class="inner" aria-label={`Sub-workflow of ${unfolded.value}`}>
          <h3>{unfolded.value}</h3>
          <Inner graph={inner} name={unfolded.value ?? ""} outer={props.activity} held={props.held} />
        </section>
      )}
    </>
  );
}

function Inner({ graph, name, outer, held }: { graph: Graph; name: string; outer: Activity | null; held?: JsonObject }) {
  const label = `Graph of ${name}`;
  if (outer === null) return <GraphView graph={graph} activity={null} label={label} />;
  if (outer.state[name] === undefined) return <GraphView graph={graph} activity={{ state: {}, runs: {}, sent: {} }} label={label} />;
  const own = ((held?.sub_workflows ?? {}) as JsonObject)[name] as JsonObject | undefined;
  return (
    <>
      <p class="hint">
        {`A sub-workflow runs whole in a superstep of its parent, and the thread's events tell of the parent's executors. ${
          own ? "Waiting executors are read from the newest checkpoint; the state of the others is not known." : "Their state is not known."
        }`}
      </p>
      <GraphView graph={graph} activity={innerActivity(own, graph)} label={label} held={own} />
    </>
  );
}

/** The graph of a thread, as its events and its newest checkpoint tell. */
export function ThreadGraph(props: { graph: Graph; events: ThreadEvent[]; isWhole: boolean; detail: ThreadDetail; moved: () => void }) {
  const { graph, detail } = props;
  const hasInner = Object.values(graph.executors).some((executor) => executor.workflow);
  const id = hasInner ? detail.checkpoint_id : null;
  const { value: held } = useRead<{ content: JsonObject }>(id === null ? null : pathOf("threads", detail.thread_id, "checkpoints", id));
  return (
    <>
      <GraphView
        graph={graph}
        activity={activityOf(props.events, graph)}
        label={`Graph of ${detail.workflow}`}
        breakpoints={detail.breakpoints ?? []}
        held={held.value?.content}
      />
      {!props.isWhole && <p class="hint">Only of the loaded supersteps.</p>}
      <p class="hint">An edge counts as taken if its source ended in the superstep before its target ran.</p>
      {detail.closed_at === null && <Breakpoints graph={graph} detail={detail} moved={props.moved} />}
    </>
  );
}

/** Before whom the thread is held, so that a person can look, and edit, first. */
function Breakpoints({ graph, detail, moved }: { graph: Graph; detail: ThreadDetail; moved: () => void }) {
  const chosen = useSignal<string[] | null>(null);
  const error = useSignal<unknown>(null);
  const set = detail.breakpoints ?? [];
  const wanted = chosen.value ?? set;
  const send = async () => {
    await call(pathOf("threads", detail.thread_id, "breakpoints"), { executors: wanted });
    moved();
    chosen.value = null;
  };
  return (
    <details>
      <summary>{set.length ? `Breakpoints: ${set.length}` : "Breakpoints"}</summary>
      <fieldset class="picks breakpoints">
        <legend class="hint">The thread pauses before these executors until somebody continues it.</legend>
        {Object.keys(graph.executors).map((name) => (
          <label key={name}>
            <input
              type="checkbox"
              checked={wanted.includes(name)}
              onChange={(event) => (chosen.value = event.currentTarget.checked ? [...wanted, name] : wanted.filter((one) => one !== name))}
            />
            <span class="text">{name}</span>
          </label>
        ))}
      </fieldset>
      <Action label="Set breakpoints" act={send} failed={(caught) => (error.value = caught)} />
      <Wrong error={error.value} />
    </details>
  );
}

function shortened(text: string, width: number): string {
  const most = Math.floor((width - 40) / 7);
  return text.length <= most ? text : `${text.slice(0, Math.max(1, most - 1))}…`;
}
