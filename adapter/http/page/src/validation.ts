// Checks a form's data by @cfworker/json-schema, which makes no code of a schema: that is what a strict policy refuses.
import { type OutputUnit, Validator } from "@cfworker/json-schema";
import {
  type CustomValidator,
  type ErrorSchema,
  type RJSFSchema,
  type RJSFValidationError,
  type ValidationData,
  type ValidatorType,
  toErrorList,
  toErrorSchema,
} from "@rjsf/utils";
import type { Json, Schema } from "./api";

/** Keywords whose errors only say that there is one further in. */
const AROUND = new Set(["properties", "items", "prefixItems", "$ref", "allOf", "anyOf", "oneOf", "if", "then", "else", "additionalProperties"]);

export interface Flaw {
  /** Where, as a JSON pointer. */
  pointer: string;
  keyword: string;
  message: string;
}

export function flawsOf(schema: Schema, data: Json | undefined): Flaw[] {
  let errors: OutputUnit[];
  try {
    // A value that is not there is none: then a field that is needed says so.
    errors = new Validator(schema, "2020-12", false).validate(data === undefined ? null : data).errors;
  } catch {
    return []; // The service decides: it has the schema too.
  }
  const inner = errors.filter((unit) => !AROUND.has(unit.keyword) && unit.keyword !== "false");
  const chosen = inner.length ? inner : errors.slice(0, 1);
  return chosen.map((unit) => flawOf(unit, schema));
}

function flawOf(unit: OutputUnit, schema: Schema): Flaw {
  const pointer = unit.instanceLocation.replace(/^#/, "");
  if (unit.keyword === "required") {
    const name = /"((?:[^"\\]|\\.)*)"\.?$/.exec(unit.error)?.[1] ?? "";
    return { pointer: `${pointer}/${name.replace(/~/g, "~0").replace(/\//g, "~1")}`, keyword: "required", message: "is needed" };
  }
  const wanted = keywordValue(schema, unit.keywordLocation);
  return { pointer, keyword: unit.keyword, message: worded(unit, wanted) };
}

function keywordValue(schema: Schema, location: string): Json | undefined {
  let found: Json | undefined = schema;
  for (const part of location.replace(/^#\/?/, "").split("/").filter(Boolean)) {
    if (part === "$ref" && found && typeof found === "object" && !Array.isArray(found) && typeof found.$ref === "string") {
      found = keywordValue(schema, found.$ref);
      continue;
    }
    const name = decodeURIComponent(part).replace(/~1/g, "/").replace(/~0/g, "~");
    found = found !== null && typeof found === "object" ? (found as { [key: string]: Json })[name] : undefined;
  }
  return found;
}

const KINDS: { [type: string]: string } = {
  integer: "a whole number",
  number: "a number",
  string: "a text",
  boolean: "yes or no",
  array: "a list",
  object: "an object",
};

function worded(unit: OutputUnit, wanted: Json | undefined): string {
  const said = typeof wanted === "object" ? JSON.stringify(wanted) : String(wanted);
  switch (unit.keyword) {
    case "type":
      return `has to be ${[wanted].flat().map((name) => KINDS[String(name)] ?? String(name)).join(" or ")}`;
    case "minimum":
      return `has to be at least ${said}`;
    case "maximum":
      return `may be at most ${said}`;
    case "exclusiveMinimum":
      return `has to be more than ${said}`;
    case "exclusiveMaximum":
      return `has to be less than ${said}`;
    case "minLength":
      return wanted === 1 ? "is needed" : `has to have at least ${said} characters`;
    case "maxLength":
      return `may have at most ${said} characters`;
    case "minItems":
      return `has to have at least ${said} items`;
    case "maxItems":
      return `may have at most ${said} items`;
    case "enum":
      return `has to be one of ${said}`;
    case "const":
      return `has to be ${said}`;
    case "pattern":
      return `has to match ${said}`;
    case "format":
      return `has to be a valid ${said}`;
    default:
      return unit.error;
  }
}

/** Return where a JSON pointer leads, as the form's library writes it. */
export function propertyOf(pointer: string): string {
  const parts = pointer.split("/").slice(1).map((part) => decodeURIComponent(part).replace(/~1/g, "/").replace(/~0/g, "~"));
  return parts.map((part) => (/^[A-Za-z_$][\w$]*$/.test(part) ? `.${part}` : `[${JSON.stringify(part)}]`)).join("");
}

export class FormValidator implements ValidatorType {
  validateFormData(
    data: unknown,
    schema: RJSFSchema,
    _custom?: CustomValidator,
    _transform?: unknown,
  ): ValidationData<unknown> {
    const errors = this.rawValidation<RJSFValidationError>(schema, data).errors ?? [];
    return { errors, errorSchema: toErrorSchema(errors) as ErrorSchema<unknown> };
  }

  rawValidation<Result = unknown>(schema: RJSFSchema, data?: unknown): { errors?: Result[] } {
    const errors = flawsOf(schema as Schema, data as Json | undefined).map((flaw) => ({
      name: flaw.keyword,
      property: propertyOf(flaw.pointer),
      message: flaw.message,
      stack: flaw.message,
    }));
    return { errors: errors as Result[] };
  }

  isValid(schema: RJSFSchema, data: unknown, rootSchema: RJSFSchema): boolean {
    const whole = { ...schema, $defs: rootSchema.$defs, definitions: rootSchema.definitions };
    return flawsOf(JSON.parse(JSON.stringify(whole)) as Schema, data as Json | undefined).length === 0;
  }

  toErrorList(errorSchema?: ErrorSchema<unknown>, path?: string[]): RJSFValidationError[] {
    return toErrorList(errorSchema, path);
  }
}
