// What user code throws, made safe to show: anything can be thrown, and nothing about it can be relied on.
import { ensureError } from "../errors.ts";

const TEXT_CHARS_MAX = 4000;

/** A text short enough for a record. */
export function clip(text: string): string {
  return text.length <= TEXT_CHARS_MAX ? text : `${text.slice(0, TEXT_CHARS_MAX)}… (${text.length} characters)`;
}

/** An error in one line, as the Python Papyra wrote it: its name and message. */
export function errorText(error: Error): string {
  try {
    return clip(`${error.name}: ${error.message}`);
  } catch {
    return "an error that cannot be shown"; // its name or message throws, or is a symbol
  }
}

/** Whatever was thrown, as an Error; also what has no text at all. */
export function caught(thrown: unknown): Error {
  try {
    return ensureError(thrown);
  } catch (cause) {
    return new Error("something was thrown that cannot be shown", { cause });
  }
}
