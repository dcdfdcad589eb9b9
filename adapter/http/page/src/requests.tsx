// Pending requests, each with the form for its answer.
import { useEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { type Json, type PendingRequest, type Superstep, call, pathOf } from "./api";
import { endOf } from "./conversation";
import { drop, isTyped, placeOf } from "./drafts";
import { SchemaForm } from "./form";
import { Value } from "./json";
import { address, go } from "./router";
import { Action, Copy, When, Wrong, announced } from "./ui";

/** Tells one request from a later one of the same id. */
function keyOf(request: PendingRequest): string {
  return placeOf("request", request.thread_id, request.request_id, request.asked_at);
}

export function Requests(props: {
  requests: PendingRequest[];
  supersteps: Superstep[];
  chosen: string | null;
  worker: boolean;
  moved: () => void;
  links: boolean;
}) {
  const seen = useRef(new Map<string, PendingRequest>());
  for (const request of props.requests) seen.current.set(keyOf(request), request);
  const waiting = new Set(props.requests.map(keyOf));
  const gone = [...seen.current].filter(([key]) => !waiting.has(key));
  const isWaiting = props.requests.some((request) => request.request_id === props.chosen);
  const isSeen = gone.some(([, request]) => request.request_id === props.chosen);
  const schemas = new Map(props.requests.filter((one) => one.response_schema).map((one) => [one.response_type, one.response_schema]));
  return (
    <section aria-label="Pending requests">
      {gone
        .filter(([key, request]) => isTyped(key) || request.request_id === props.chosen)
        .map(([key, request]) => (
          <Gone key={key} requestId={request.request_id} asks={request.executor_id} supersteps={props.supersteps} place={key} />
        ))}
      {props.chosen !== null && !isWaiting && !isSeen && <Gone requestId={props.chosen} supersteps={props.supersteps} />}
      {props.requests.map((request) => (
        <RequestCard
          key={keyOf(request)}
          request={request}
          schema={request.response_schema ?? schemas.get(request.response_type) ?? null}
          isChosen={props.chosen === request.request_id}
          worker={props.worker}
          moved={props.moved}
          links={props.links}
        />
      ))}
    </section>
  );
}

/** What became of a request that was asked, and no longer waits. */
function Gone(props: { requestId: string; asks?: string; supersteps: Superstep[]; place?: string }) {
  const { requestId, asks, place } = props;
  const isRead = useSignal(false);
  if (isRead.value) return null;
  // Newest first.
  const end = props.supersteps.flatMap((one) => one.answers).find((answer) => answer.request_id === requestId);
  const what = end ? ` ${endOf(end)}.` : "";
  const kept = place !== undefined && isTyped(place);
  return (
    <div class="note" role="status">
      <p>{`${asks === undefined ? "This request" : `What ${asks} asked`} is no longer waiting for an answer.${what}`}</p>
      {kept && (
        <p class="row">
          What you typed was not sent.
          <button
            type="button"
            class="small"
            onClick={() => {
              drop(place);
              isRead.value = true;
            }}
          >
            Discard it
          </button>
        </p>
      )}
    </div>
  );
}

function RequestCard(props: {
  request: PendingRequest;
  schema: PendingRequest["response_schema"];
  isChosen: boolean;
  worker: boolean;
  moved: () => void;
  links: boolean;
}) {
  const { request } = props;
  const card = useRef<HTMLElement>(null);
  const error = useSignal<unknown>(null);
  const link = useSignal<string | null>(null);
  const at = (...more: string[]) => pathOf("threads", request.thread_id, "requests", request.request_id, ...more);
  useEffect(() => {
    if (!props.isChosen) return;
    card.current?.scrollIntoView({ block: "start" });
    // Who has come here within the page goes on from there; who has just opened it begins at its top.
    if (document.activeElement !== document.body) card.current?.focus({ preventScroll: true });
  }, [props.isChosen]);
  const answer = async (response: Json) => {
    await call(at("response"), { response });
    announced.value = `The answer to ${request.executor_id} is taken`;
    if (props.isChosen) go(address("threads", request.thread_id), true);
    props.moved();
  };
  return (
    <article class="card request" ref={card} tabIndex={-1} aria-label={`${request.executor_id} asks`} data-request={request.request_id}>
      <div class="card-head">
        <h2>{`${request.executor_id} asks`}</h2>
        <span class="quiet">
          <When at={request.asked_at} />
          {request.deadline && ` · to be answered by ${new Date(request.deadline).toLocaleString()}`}
        </span>
      </div>
      {request.request !== null && request.request !== undefined && (
        <div class="asked">
          <Value value={request.request} />
        </div>
      )}
      {!!request.errors?.length && <p class="hint">{`Rejected before: ${request.errors[request.errors.length - 1]?.error ?? ""}`}</p>}
      {!props.worker && <p class="hint">No worker is running. Answers are accepted once one is.</p>}
      <SchemaForm key={String(props.schema === null)} schema={props.schema} label="Answer" idPrefix={`answer-${request.request_id}`} place={keyOf(request)} submit={answer}>
        {props.links && (
          <Action
            label="Make a link"
            title="One address that answers this one request, for a mail"
            failed={(caught) => (error.value = caught)}
            act={async () => (link.value = (await call<{ url: string }>(at("link"), {})).url)}
          />
        )}
        <Action
          label="Cancel request"
          sure="The executor will never get a response."
          kind="danger"
          failed={(caught) => (error.value = caught)}
          act={async () => {
            await call(at("cancel"), {});
            props.moved();
          }}
        />
      </SchemaForm>
      {link.value && (
        <p class="row">
          <code class="cut">{link.value}</code> <Copy text={link.value} label="the link" />
        </p>
      )}
      <Wrong error={error.value} />
    </article>
  );
}
