// Small checks that turn raw options into values that can be trusted, with errors a reader can act on.
import { PapyraError } from "./errors.ts";

function invalid(name: string, value: unknown, wanted: string): PapyraError {
  const shown = typeof value === "string" ? JSON.stringify(value) : String(value);
  return new PapyraError("OPTION_INVALID", `option \`${name}\` must be ${wanted}, not ${shown}`, {
    details: { option: name, value },
  });
}

/** More than any machine has that somebody keeps a store on. */
export const THREADS_MAX = 64;

/** A whole number from `min` to `max`, or the default when it was not given. */
export function wholeNumber(name: string, value: unknown, fallback: number, min: number, max: number): number {
  if (value === undefined) return fallback;
  if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max) {
    throw invalid(name, value, `a whole number from ${min} to ${max}`);
  }
  return value;
}

/** A number from `min` to `max`, or the default when it was not given. */
export function fraction(name: string, value: unknown, fallback: number, min: number, max: number): number {
  if (value === undefined) return fallback;
  if (typeof value !== "number" || !(value >= min && value <= max)) {
    throw invalid(name, value, `a number from ${min} to ${max}`);
  }
  return value;
}

/** One of the given words, or the default when it was not given. */
export function oneOf<T extends string>(name: string, value: unknown, fallback: T, words: readonly T[]): T {
  if (value === undefined) return fallback;
  if (!words.includes(value as T)) throw invalid(name, value, `one of ${words.join(", ")}`);
  return value as T;
}

/** A string that is not empty and holds no NUL. */
export function text(name: string, value: unknown): string {
  if (typeof value !== "string" || value === "" || value.includes("\0")) {
    throw invalid(name, value, "a string that is not empty and holds no NUL");
  }
  return value;
}

/** Refuses keys that nobody reads: a misspelt option must not be silently ignored. */
export function refuseUnknown(owner: string, options: object, known: readonly string[]): void {
  for (const key of Object.keys(options)) {
    if (!known.includes(key)) {
      throw new PapyraError("OPTION_INVALID", `${owner} knows no option \`${key}\``, {
        hint: `it knows: ${known.join(", ")}`,
        details: { option: key },
      });
    }
  }
}
