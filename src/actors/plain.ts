// Plain data: what JSON holds unchanged, and nothing can change behind the back of the journal. States and payloads are
// checked and frozen in one walk, which passes over what it has settled before: a new state costs what is new in it. Pure.
import { PapyraError } from "../errors.ts";

/** Nested so deep, a value would not fit into a record either. */
const DEPTH_MAX = 190;

function notPlain(path: string, what: string): PapyraError {
  return new PapyraError("RECORD_INVALID", `${path} is ${what}, which JSON cannot hold unchanged`, {
    hint: "keep strings, finite numbers, booleans, null, arrays and plain objects; leave a member out instead of undefined",
    details: { path, what },
  });
}

/** A constructor that hands back what it is given, so that what a class on top of it declares is added to that object. */
const Given = function given(value: object): object {
  return value;
} as unknown as new (
  value: object,
) => object;

/**
 * Remembers what was settled, by a private member of the object itself, which nobody can see or forge. A WeakSet of every
 * object costs ten times as much and burdens each garbage collection; only what came frozen, and may take no member, is
 * kept in one. That an object is frozen says nothing: a shallow `Object.freeze` leaves open what is below it.
 */
class Settled extends Given {
  readonly #settled = true;
  static readonly #cameFrozen = new WeakSet<object>();

  static has(value: object): boolean {
    return (#settled in value && value.#settled) || Settled.#cameFrozen.has(value);
  }

  static add(value: object): void {
    if (Object.isExtensible(value)) new Settled(value);
    else Settled.#cameFrozen.add(value);
    Object.freeze(value);
  }
}

/**
 * Freezes `value` all the way down and returns it. Rejects with RECORD_INVALID and the path of what is not plain data.
 * Always done, not only in development: without it a handler could change a state that the journal does not know of, and
 * it costs about as much as making the new objects cost.
 */
export function settle<T>(value: T, path: string): T {
  visit(value, path, 0, true);
  return value;
}

/**
 * The same for what JSON.parse has made, which is plain by itself, but for numbers that are too large and its depth: another
 * program may have written the text.
 */
export function settleParsed<T>(value: T, path: string): T {
  if (typeof value === "object" && value !== null) freezeParsed(value, path, 0);
  return value;
}

function freezeParsed(value: object, path: string, depth: number): void {
  if (Settled.has(value)) return;
  if (depth >= DEPTH_MAX) throw notPlain(path, `nested more than ${DEPTH_MAX} levels deep`);
  for (const key in value) {
    const member = (value as Readonly<Record<string, unknown>>)[key];
    if (typeof member === "object" && member !== null) freezeParsed(member, path, depth + 1);
    else if (typeof member === "number" && !Number.isFinite(member)) throw notPlain(path, String(member));
  }
  Settled.add(value);
}

/** The same check of everything, frozen or not, without freezing. */
export function assertPlain(value: unknown, path: string): void {
  visit(value, path, 0, false);
}

function visit(value: unknown, path: string, depth: number, freeze: boolean): void {
  switch (typeof value) {
    case "string":
    case "boolean":
      return;
    case "number":
      // Minus zero is zero in JSON; it compares equal, so a state may hold it.
      if (!Number.isFinite(value)) throw notPlain(path, String(value));
      return;
    case "object":
      if (value !== null && !(freeze && Settled.has(value))) visitObject(value, path, depth, freeze);
      return;
    default:
      throw notPlain(path, typeof value);
  }
}

function visitObject(value: object, path: string, depth: number, freeze: boolean): void {
  // A value that contains itself is found here as well.
  if (depth >= DEPTH_MAX) throw notPlain(path, `nested more than ${DEPTH_MAX} levels deep`);
  if (Array.isArray(value)) {
    if (Object.keys(value).length !== value.length) throw notPlain(path, "an array with holes or extra members");
    for (let i = 0; i < value.length; i++) visitMember(value[i], path, i, depth, freeze);
  } else {
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype !== Object.prototype && prototype !== null) {
      throw notPlain(
        path,
        `an instance of ${(value as { constructor?: { name?: string } }).constructor?.name ?? "a class"}`,
      );
    }
    if (Object.getOwnPropertySymbols(value).length > 0) throw notPlain(path, "an object with symbol keys");
    const members = value as Readonly<Record<string, unknown>>;
    for (const key in members) {
      if (Object.prototype.hasOwnProperty.call(members, key)) visitMember(members[key], path, key, depth, freeze);
    }
  }
  if (freeze) Settled.add(value);
}

/** The path is put together only when it is needed: for an error, or for a member that has members itself. */
function visitMember(member: unknown, path: string, key: string | number, depth: number, freeze: boolean): void {
  if (typeof member === "string" || typeof member === "boolean" || member === null) return;
  if (typeof member === "number" && Number.isFinite(member)) return;
  visit(member, typeof key === "number" ? `${path}[${key}]` : `${path}.${key}`, depth + 1, freeze);
}
