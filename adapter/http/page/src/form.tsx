// Forms from a JSON Schema, by @rjsf/core, with our own templates: labels, hints and errors belong to their fields.
import RjsfForm, { type IChangeEvent } from "@rjsf/core";
import {
  type ErrorSchema,
  type FieldTemplateProps,
  type IconButtonProps,
  type RJSFSchema,
  type UiSchema,
  type WidgetProps,
  toErrorSchema,
} from "@rjsf/utils";
import { useSignal } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { type Json, Problem, type Schema } from "./api";
import { drop, useDraft } from "./drafts";
import { Wrong } from "./ui";
import { FormValidator, flawsOf, propertyOf } from "./validation";

const validator = new FormValidator();

function FieldTemplate(props: FieldTemplateProps) {
  const { id, label, children, displayLabel, required, rawErrors, rawDescription, hidden, schema } = props;
  if (hidden) return <div hidden>{children}</div>;
  const errors = [...new Set(rawErrors ?? [])];
  const isGroup = schema.type === "object" || schema.type === "array" || (!displayLabel && schema.type !== "boolean");
  return (
    <div class={errors.length ? "field has-error" : "field"} id={`${id}__field`}>
      {!isGroup && (
        <label htmlFor={schema.type === "boolean" ? undefined : id} id={`${id}__label`}>
          {label}
          {!required && <span class="quiet"> optional</span>}
        </label>
      )}
      {!isGroup && rawDescription && (
        <p class="hint" id={`${id}__description`}>
          {rawDescription}
        </p>
      )}
      {children}
      {errors.length > 0 && (
        <div class="field-errors" id={`${id}__error`} role="alert">
          {errors.map((error) => (
            <p key={error}>{`${label || "This"} ${error}`}</p>
          ))}
        </div>
      )}
    </div>
  );
}

function described(id: string, wrong: boolean, hint: boolean): string | undefined {
  return [wrong && `${id}__error`, hint && `${id}__description`].filter(Boolean).join(" ") || undefined;
}

/** Yes, no, or not said yet: a box that is not ticked would say no for who has not answered. */
function YesNo({ id, value, onChange, disabled, required, rawErrors, schema }: WidgetProps) {
  const choose = (chosen: boolean) => () => onChange(chosen);
  const wrong = (rawErrors ?? []).length > 0;
  return (
    <div class="choices" role="radiogroup" id={id} aria-labelledby={`${id}__label`} aria-required={required} aria-invalid={wrong} aria-describedby={described(id, wrong, !!schema.description)} tabIndex={-1}>
      {[true, false].map((choice) => (
        <label key={String(choice)}>
          <input type="radio" name={id} checked={value === choice} disabled={disabled} onChange={choose(choice)} />
          {choice ? "Yes" : "No"}
        </label>
      ))}
    </div>
  );
}

function TextBox({ id, value, onChange, disabled, required, rawErrors, schema, autofocus }: WidgetProps) {
  const wrong = (rawErrors ?? []).length > 0;
  const isNumber = schema.type === "number" || schema.type === "integer";
  const common = {
    id,
    name: id,
    value: value === undefined || value === null ? "" : String(value),
    disabled,
    autoFocus: autofocus,
    "aria-required": required,
    "aria-invalid": wrong,
    "aria-describedby": described(id, wrong, !!schema.description),
    onInput: (event: { currentTarget: { value: string } }) => onChange(event.currentTarget.value === "" ? undefined : event.currentTarget.value),
  };
  const most = typeof schema.maxLength === "number" ? schema.maxLength : Infinity;
  if (!isNumber && schema.type === "string" && !schema.format && most > 200) return <textarea rows={2} {...common} />;
  const kinds: { [format: string]: string } = { date: "date", email: "email", uri: "url" };
  return <input type={kinds[schema.format ?? ""] ?? "text"} inputMode={isNumber ? "decimal" : undefined} {...common} />;
}

function iconButton(text: string, name: string) {
  return ({ onClick, disabled, id }: IconButtonProps) => (
    <button type="button" class="small" id={id} onClick={onClick as never} disabled={disabled} aria-label={name} title={name}>
      {text}
    </button>
  );
}

const templates = {
  FieldTemplate,
  ErrorListTemplate: () => null,
  ButtonTemplates: {
    AddButton: iconButton("Add", "Add an item"),
    RemoveButton: iconButton("Remove", "Remove this item"),
    MoveUpButton: iconButton("↑", "Move up"),
    MoveDownButton: iconButton("↓", "Move down"),
    CopyButton: iconButton("Copy", "Copy this item"),
    SubmitButton: () => null,
  },
};
const widgets = { CheckboxWidget: YesNo, TextWidget: TextBox, EmailWidget: TextBox, URLWidget: TextBox, DateWidget: TextBox, UpDownWidget: TextBox };
const uiSchema: UiSchema = { "ui:submitButtonOptions": { norender: true } };

/** A form for a schema; where there is none, or by choice, the value as JSON. */
export function SchemaForm(props: {
  schema: Schema | null;
  label: string;
  idPrefix: string;
  /** Where what is typed is kept until it is sent; see drafts. */
  place: string;
  submit: (value: Json) => Promise<unknown>;
  children?: preact.ComponentChildren;
}) {
  const chosen = useDraft(props.place, "json", false);
  const asJson = chosen.value || props.schema === null;
  const data = useDraft<Json | undefined>(props.place, "data", undefined);
  const text = useDraft(props.place, "text", "");
  const typed = useDraft(props.place, "typed", false);
  const busy = useSignal(false);
  const error = useSignal<unknown>(null);
  const tried = useSignal(false);
  const box = useRef<HTMLFormElement>(null);
  // By its text: it is read again and again, and is the same.
  const schema = useMemo(() => formSchema(props.schema), [JSON.stringify(props.schema)]);
  const extra = useMemo(() => errorsOf(error.value, schema), [error.value]);

  const send = async (value: Json) => {
    if (busy.value) return;
    busy.value = true;
    error.value = null;
    try {
      await props.submit(value);
      drop(props.place);
    } catch (caught) {
      error.value = caught;
    } finally {
      busy.value = false;
    }
  };
  const sendText = (event: Event) => {
    event.preventDefault();
    let value: Json;
    try {
      value = JSON.parse(text.value) as Json;
    } catch (caught) {
      error.value = noJson(caught);
      return;
    }
    const flaws = props.schema ? flawsOf(props.schema, value) : [];
    if (flaws.length) {
      error.value = new Problem(0, "This does not fit", "", flaws.map((flaw) => `${flaw.pointer || "It"} ${flaw.message}`));
      return;
    }
    void send(value);
  };
  /** What was typed is taken along, from the form to the text and back. */
  const turn = () => {
    error.value = null;
    if (!asJson) {
      text.value = data.value === undefined ? "" : JSON.stringify(data.value, null, 2);
      chosen.value = true;
      return;
    }
    try {
      if (text.value.trim()) data.value = JSON.parse(text.value) as Json;
      chosen.value = false;
    } catch (caught) {
      error.value = noJson(caught);
    }
  };
  const focusWrong = () => {
    tried.value = true;
    requestAnimationFrame(() => box.current?.querySelector<HTMLElement>(".has-error input, .has-error textarea, .has-error select")?.focus());
  };
  const formRef = useRef<{ formElement: { current: HTMLFormElement } } | null>(null);
  useEffect(() => {
    box.current = formRef.current?.formElement.current ?? box.current;
  });
  const buttons = (
    <div class="row">
      <button type="submit" class="first" aria-disabled={busy.value}>
        {busy.value ? `${props.label} …` : props.label}
      </button>
      {props.children}
      {props.schema !== null && (
        <button
          type="button"
          class="quiet-button"
          onClick={turn}
        >
          {asJson ? "As a form" : "As JSON"}
        </button>
      )}
    </div>
  );
  const general = error.value && !Object.keys(extra).length ? <Wrong error={error.value} /> : null;
  if (asJson) {
    return (
      <form onSubmit={sendText} noValidate>
        <div class="field">
          <label htmlFor={`${props.idPrefix}-json`}>JSON</label>
          <textarea
            id={`${props.idPrefix}-json`}
            class="code"
            rows={6}
            spellcheck={false}
            value={text.value}
            onInput={(event) => {
              text.value = event.currentTarget.value;
              typed.value = true;
            }}
          />
        </div>
        {general}
        {buttons}
      </form>
    );
  }
  const Form = RjsfForm as unknown as preact.ComponentType<Record<string, unknown>>;
  return (
    <Form
      ref={formRef}
      idPrefix={props.idPrefix}
      idSeparator="-"
      schema={schema}
      uiSchema={uiSchema}
      formData={data.value}
      validator={validator}
      templates={templates}
      widgets={widgets}
      extraErrors={extra}
      extraErrorsBlockSubmit={false}
      noHtml5Validate
      showErrorList={false}
      liveValidate={tried.value}
      onChange={(change: IChangeEvent, field?: string) => {
        if (field !== undefined) typed.value = true; // Else it is the defaults.
        data.value = change.formData as Json;
        if (error.value) error.value = null;
      }}
      onError={focusWrong}
      onSubmit={(sent: IChangeEvent) => void send(sent.formData as Json)}
    >
      {general}
      {buttons}
    </Form>
  );
}

function noJson(caught: unknown): Problem {
  return new Problem(0, "Not valid JSON", `${(caught as Error).message}. Put text in double quotes.`);
}

/** Return a schema that the form's library shows well: its title is above the form already. */
function formSchema(schema: Schema | null): RJSFSchema {
  if (schema === null) return {};
  const { title: _title, description: _description, ...rest } = withoutNull(schema) as Schema;
  const isGroup = rest.type === "object" || rest.type === "array";
  return (isGroup ? rest : { ...rest, title: typeof schema.title === "string" ? schema.title : "Value" }) as RJSFSchema;
}

/** Return a schema in which what may be left out is not also null: of X, or null, or nothing, a form shows X. */
function withoutNull(schema: Json): Json {
  if (Array.isArray(schema)) return schema.map(withoutNull);
  if (schema === null || typeof schema !== "object") return schema;
  const found = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, withoutNull(value)])) as Schema;
  const { anyOf, ...rest } = found;
  if (!Array.isArray(anyOf) || !("default" in rest)) return found;
  const others = anyOf.filter((one) => !(one && typeof one === "object" && !Array.isArray(one) && one.type === "null"));
  if (others.length !== 1 || others.length === anyOf.length) return found;
  if (rest.default === null) delete rest.default;
  return { ...(others[0] as Schema), ...rest };
}

/** Return what the service has said of a field (`place: what`), at that field. */
function errorsOf(error: unknown, schema: RJSFSchema): ErrorSchema {
  if (!(error instanceof Problem) || !error.errors.length) return {};
  const names = Object.keys((schema.properties ?? {}) as object);
  const found = error.errors.flatMap((text) => {
    const match = /^([^:]+): ([\s\S]+)$/.exec(text);
    const first = match?.[1]?.split(/[.[/]/)[0] ?? "";
    return match && names.includes(first) ? [{ property: propertyOf(`/${first}`), message: (match[2] ?? "").replace(/^the value /, ""), stack: text }] : [];
  });
  return found.length === error.errors.length ? (toErrorSchema(found) as ErrorSchema) : {};
}
