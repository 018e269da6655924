// The address of an actor: `<system id>://<name>/<name>...`, each name percent-encoded, so that a hostile name can neither
// look like a path nor like another actor. Pure. Every address has one spelling; parsing refuses all others.
import { PapyraError } from "../errors.ts";

/** The parts of an address. */
export interface Address {
  readonly systemId: string;
  /** The names from the root to the actor, decoded. Never empty. */
  readonly path: readonly string[];
}

const SYSTEM_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
/** Long enough for any key, short enough for every log line and file name made of it. */
const NAME_CHARS_MAX = 1024;

function invalid(what: string, value: unknown): PapyraError {
  const shown = typeof value === "string" ? JSON.stringify(value.slice(0, 100)) : String(value);
  return new PapyraError("OPTION_INVALID", `${what}, not ${shown}`);
}

/** Checks a system id: 1 to 64 letters, digits, dots, dashes and underscores, the first a letter or digit. */
export function checkSystemId(systemId: unknown): string {
  if (typeof systemId !== "string" || !SYSTEM_ID.test(systemId)) {
    throw invalid(
      "option `systemId` must be 1 to 64 letters, digits, `.`, `_` or `-`, a letter or digit first",
      systemId,
    );
  }
  return systemId;
}

/** One name as it stands in an address. Rejects with OPTION_INVALID: empty, too long, NUL, half a character. */
export function encodeName(name: unknown): string {
  if (typeof name !== "string" || name === "" || name.length > NAME_CHARS_MAX || name.includes("\0")) {
    throw invalid(`an actor's name must be a string of 1 to ${NAME_CHARS_MAX} characters without NUL`, name);
  }
  // Dots alone would be taken for "here" and "up" by whatever treats an address as a path or URL.
  if (name === "." || name === "..") return name.replaceAll(".", "%2E");
  try {
    return encodeURIComponent(name);
  } catch (cause) {
    throw new PapyraError(
      "OPTION_INVALID",
      "an actor's name must be well-formed Unicode, without half a surrogate pair",
      {
        cause,
      },
    );
  }
}

/** The address in its one spelling. */
export function formatAddress(address: Address): string {
  if (address.path.length === 0) throw invalid("an address needs at least one name", "");
  return `${checkSystemId(address.systemId)}://${address.path.map(encodeName).join("/")}`;
}

/** The parts of an address. Rejects with OPTION_INVALID when it is not exactly what {@link formatAddress} makes. */
export function parseAddress(address: string): Address {
  const at = address.indexOf("://");
  if (at > 0) {
    const parsed = decode(address.slice(0, at), address.slice(at + 3));
    if (parsed !== undefined && formatAddress(parsed) === address) return parsed;
  }
  throw invalid("an address looks like `local://orders/42`", address);
}

function decode(systemId: string, path: string): Address | undefined {
  try {
    return { systemId, path: path.split("/").map(decodeURIComponent) };
  } catch {
    return undefined; // a stray percent sign: the caller says what an address looks like
  }
}
