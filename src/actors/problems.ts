// What goes wrong beside the actors, told once for each cause, so that a disk that fails a thousand times a second does
// not also fill the log of whoever listens. The listener can break nothing.
import { isPapyraError, type PapyraError } from "../errors.ts";
import { caught, errorText } from "./caught.ts";

/** After so many different causes, new ones are only counted: messages with changing numbers must not pile up. */
const CAUSES_MAX = 1000;

/** One of a persistent actor is told once for each code: its message may hold a number that changes each time. */
function causeOf({ code, message, details }: PapyraError): string {
  return `${code}: ${typeof details.persistenceId === "string" ? details.persistenceId : message}`;
}

/** Collects problems. */
export class Problems {
  /** How many there were, repeated ones included. */
  count = 0;
  readonly #seen = new Set<string>();
  readonly #listener: ((error: Error) => void) | undefined;

  constructor(listener: ((error: Error) => void) | undefined) {
    this.#listener = listener;
  }

  /** Tells of a problem, unless the same one has been told before. */
  report(thrown: unknown): void {
    const error = caught(thrown);
    this.count += 1;
    const cause = isPapyraError(error) ? causeOf(error) : errorText(error);
    if (this.#seen.has(cause) || this.#seen.size >= CAUSES_MAX) return;
    this.#seen.add(cause);
    try {
      this.#listener?.(error);
    } catch {
      this.count += 1; // there is nobody left to tell; an actor must not pay for it
    }
  }
}
