// The graph of a workflow, laid out by dagre, with the live state of each executor and edge.
import { graphlib, layout } from "@dagrejs/dagre";
import { useSignal } from "@preact/signals";
import { useMemo } from "preact/hooks";
import type { Graph, ThreadEvent } from "./api";

const HEIGHT = 48;

export interface Activity {
  state: { [executor: string]: "running" | "waiting" | "done" | "failed" };
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

/** Draws a graph; without events, as those of a sub-workflow are not told, it has no state. */
export function GraphView({ graph, events, label }: { graph: Graph; events: ThreadEvent[] | null; label: string }) {
  const laid = useMemo(() => laidOut(graph), [graph]);
  const activity = activityOf(events ?? [], graph);
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
            const said = events === null ? node.id : `${node.id}: ${state === "idle" ? "not run yet" : state}${runs > 1 ? `, run ${runs} times` : ""}`;
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
          <GraphView graph={inner} events={null} label={`Graph of ${unfolded.value}`} />
        </section>
      )}
    </>
  );
}

function shortened(text: string, width: number): string {
  const most = Math.floor((width - 40) / 7);
  return text.length <= most ? text : `${text.slice(0, Math.max(1, most - 1))}…`;
}
