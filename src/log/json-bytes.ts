// Values as JSON, written straight into bytes and checked on the way: one walk instead of one to check and one to write,
// and no text in between. What JSON would drop or change without a word is refused, so that what is read back is what was
// given. The bytes are those that JSON.stringify would make.
import { PapyraError } from "../errors.ts";
import { NUMBER_BYTES_MAX, putAscii, putNumber } from "./ascii.ts";

const DEPTH_MAX = 200;
/** Longer texts are left to the native encoder. */
const SHORT_TEXT_MAX = 96;
const BYTES_FIRST = 512;

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;

/** 1 for the characters that stand in a JSON text as the one byte that they are. */
const PLAIN: Uint8Array = Uint8Array.from({ length: 128 }, (_, code) =>
  Number(code >= 0x20 && code <= 0x7e && code !== QUOTE && code !== 0x5c),
);

/** Where a value stands: the objects around it, innermost first, each with its own place. */
interface Place {
  readonly value: object;
  readonly name: string | number;
  readonly around: Place | undefined;
  readonly depth: number;
}

export class JsonBytes {
  #bytes: Buffer = Buffer.allocUnsafeSlow(BYTES_FIRST);
  #length = 0;

  /** What was written, and room behind it; valid until more is written. */
  get bytes(): Buffer {
    return this.#bytes;
  }

  get length(): number {
    return this.#length;
  }

  clear(): void {
    this.#length = 0;
  }

  toString(): string {
    return this.#bytes.toString("utf8", 0, this.#length);
  }

  /**
   * Writes `,"name":value` for each member but `except`, and those that are undefined. Rejects with RECORD_INVALID and the
   * path of the offending value.
   */
  members(fields: object, except: string | undefined): void {
    // In a for-in loop the engine knows what hasOwnProperty says; it does not for Object.hasOwn, nor for the array of Object.keys.
    for (const name in fields) {
      if (name === except || !Object.prototype.hasOwnProperty.call(fields, name)) continue;
      const value = (fields as Record<string, unknown>)[name];
      if (value === undefined) continue;
      this.#name(COMMA, name);
      this.#value(value, name, undefined);
    }
  }

  #value(value: unknown, name: string | number, around: Place | undefined): void {
    switch (typeof value) {
      case "string":
        this.#text(value);
        return;
      case "number":
        if (!Number.isFinite(value) || Object.is(value, -0))
          throw notStorable(Object.is(value, -0) ? "-0" : String(value), name, around);
        this.#room(NUMBER_BYTES_MAX);
        this.#length = putNumber(this.#bytes, this.#length, value);
        return;
      case "boolean":
        this.#word(value ? "true" : "false");
        return;
      case "object":
        if (value === null) this.#word("null");
        else this.#nested(value, name, around);
        return;
      default:
        throw notStorable(typeof value, name, around);
    }
  }

  #nested(value: object, name: string | number, around: Place | undefined): void {
    for (let outer = around; outer !== undefined; outer = outer.around) {
      if (outer.value === value) throw notStorable("a value that contains itself", name, around);
    }
    const depth = around === undefined ? 1 : around.depth + 1;
    if (depth > DEPTH_MAX) throw notStorable(`more than ${DEPTH_MAX} levels of nesting`, name, around);
    const what = whyNotStorable(value);
    if (what !== undefined) throw notStorable(what, name, around);
    const here = { value, name, around, depth };
    if (Array.isArray(value)) this.#array(value, here);
    else this.#object(value as Record<string, unknown>, here);
  }

  #array(values: readonly unknown[], here: Place): void {
    this.#byte(0x5b);
    for (let i = 0; i < values.length; i++) {
      if (i > 0) this.#byte(COMMA);
      this.#value(values[i], i, here);
    }
    this.#byte(0x5d);
  }

  #object(value: Record<string, unknown>, here: Place): void {
    let before = 0x7b;
    for (const name in value) {
      if (!Object.prototype.hasOwnProperty.call(value, name)) continue;
      this.#name(before, name);
      before = COMMA;
      this.#value(value[name], name, here);
    }
    if (before !== COMMA) this.#byte(before);
    this.#byte(0x7d);
  }

  #byte(code: number): void {
    this.#room(1);
    this.#bytes[this.#length++] = code;
  }

  #word(word: string): void {
    this.#room(word.length);
    this.#length = putAscii(this.#bytes, this.#length, word);
  }

  /** What stands before a member, its name, and a colon. */
  #name(before: number, name: string): void {
    this.#byte(before);
    this.#text(name);
    this.#byte(COLON);
  }

  #text(text: string): void {
    const { length } = text;
    if (length > SHORT_TEXT_MAX) return this.#anyText(text);
    this.#room(length + 2);
    const bytes = this.#bytes;
    let at = this.#length;
    bytes[at++] = QUOTE;
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i);
      // Nothing was counted yet: it is written from its start.
      if (code > 127 || PLAIN[code] === 0) return this.#anyText(text);
      bytes[at++] = code;
    }
    bytes[at++] = QUOTE;
    this.#length = at;
  }

  #anyText(text: string): void {
    const json = JSON.stringify(text);
    this.#room(Buffer.byteLength(json));
    this.#length += this.#bytes.write(json, this.#length, "utf8");
  }

  #room(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed > this.#bytes.length) this.#grow(needed);
  }

  #grow(needed: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, needed));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }
}

/** Objects must be plain: a Date, a Map or a class would come back as something else. */
function whyNotStorable(value: object): string | undefined {
  if (Array.isArray(value)) {
    if (Object.getPrototypeOf(value) !== Array.prototype) return "an instance of a class of arrays";
    return Object.keys(value).length === value.length ? undefined : "an array with holes or extra members";
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null)
    return `an instance of ${value.constructor?.name || "a class"}`;
  if (Object.getOwnPropertySymbols(value).length > 0) return "an object with symbol keys";
  return typeof (value as { toJSON?: unknown }).toJSON === "function" ? "an object with toJSON()" : undefined;
}

function notStorable(what: string, name: string | number, around: Place | undefined): PapyraError {
  let path = "";
  for (
    let step: Pick<Place, "name" | "around"> | undefined = { name, around };
    step !== undefined;
    step = step.around
  ) {
    const dot = step.around === undefined ? "" : ".";
    path = (typeof step.name === "number" ? `[${step.name}]` : `${dot}${step.name}`) + path;
  }
  return new PapyraError("RECORD_INVALID", `${path} is ${what}, which JSON cannot hold unchanged`, {
    hint: "store a string or a plain number instead, and convert in the event handler",
    details: { path, what },
  });
}
