// The digest of a state: SHA-256 over its canonical JSON (RFC 8785). The same state gives the same digest on every run
// and machine, whatever the order of its keys, so that replays, snapshots and restored backups can be compared. Pure.
import { createHash } from "node:crypto";
import canonicalize from "canonicalize";
import { assertPlain } from "./plain.ts";

/**
 * The digest of a state as 64 lower-case hex digits. Rejects with RECORD_INVALID for what JSON cannot hold unchanged.
 *
 * RFC 8785 has no answer for half a surrogate pair, which JSON itself allows: where one occurs, every string is digested
 * in its escaped spelling, behind a prefix that keeps such states apart from all others.
 */
export function digestOf(state: unknown): string {
  assertPlain(state, "state");
  const text = wellFormed(state)
    ? canonicalize(state)
    : `half-surrogates:${canonicalize(mapStrings(state, (part) => JSON.stringify(part)))}`;
  return createHash("sha256")
    .update(text as string, "utf8")
    .digest("hex");
}

/** Not yet in the types of ES2023, but in every Node that we run on. */
const isWellFormed = (text: string): boolean => (text as string & { isWellFormed(): boolean }).isWellFormed();

function wellFormed(value: unknown): boolean {
  if (typeof value === "string") return isWellFormed(value);
  if (typeof value !== "object" || value === null) return true;
  if (Array.isArray(value)) return value.every(wellFormed);
  return Object.entries(value).every(([key, member]) => isWellFormed(key) && wellFormed(member));
}

function mapStrings(value: unknown, change: (text: string) => string): unknown {
  if (typeof value === "string") return change(value);
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((member) => mapStrings(member, change));
  // fromEntries defines members: a key of "__proto__" stays a key.
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [change(key), mapStrings(member, change)]));
}
