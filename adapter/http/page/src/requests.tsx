// Requests that wait, each with the form for its answer.
import { useEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { type Json, type PendingRequest, call, pathOf } from "./api";
import { SchemaForm } from "./form";
import { Value } from "./json";
import { address, go } from "./router";
import { Action, Copy, When, Wrong, announced } from "./ui";

export function Requests(props: { requests: PendingRequest[]; chosen: string | null; worker: boolean; moved: () => void; links: boolean }) {
  if (!props.requests.length) return null;
  const schemas = new Map(props.requests.filter((one) => one.response_schema).map((one) => [one.response_type, one.response_schema]));
  return (
    <section aria-label="Requests that wait">
      {props.requests.map((request) => (
        <RequestCard
          key={request.request_id + request.asked_at}
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
    if (props.isChosen) card.current?.scrollIntoView({ block: "start" });
  }, [props.isChosen]);
  const answer = async (response: Json) => {
    await call(at("response"), { response });
    announced.value = `The answer to ${request.executor_id} is taken`;
    if (props.isChosen) go(address("threads", request.thread_id), true);
    props.moved();
  };
  return (
    <article class="card request" ref={card} aria-label={`${request.executor_id} asks`} data-request={request.request_id}>
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
      {!!request.errors?.length && <p class="hint">{`Refused before: ${request.errors[request.errors.length - 1]?.error ?? ""}`}</p>}
      {!props.worker && <p class="hint">No worker runs: an answer is taken once one does.</p>}
      <SchemaForm key={String(props.schema === null)} schema={props.schema} label="Answer" idPrefix={`answer-${request.request_id}`} submit={answer}>
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
          sure="The executor is never answered then."
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
