// Reads a segment back and says what its seal has to say of it. What does not verify is never sealed: a seal is the
// promise that the segment was whole when it was closed.
import { createHash, type Hash } from "node:crypto";
import { decodeRecord, seedOf } from "../log/codec.ts";
import { LineScanner } from "../log/lines.ts";
import { firstLine, lastLine } from "../log/run-ends.ts";
import type { Seal } from "../log/seal.ts";

/** What a seal says of the bytes before it. */
export type Sealed = Omit<Seal, "kind" | "previous" | "replaces">;

/**
 * Describes the bytes of a segment that begins with `identityLine` and has no seal. Undefined when they are not what may be
 * sealed: another identity, damage, a line without its line break, records out of order, or a seal. Where recovery has taken out
 * every record, it says so with zeros.
 */
export async function describeSegment(
  identityLine: Buffer,
  chunks: AsyncIterable<Uint8Array>,
): Promise<Sealed | undefined> {
  const hash: Hash = createHash("sha256");
  const scanner = new LineScanner(seedOf(identityLine), identityLine.length);
  let head: Buffer | undefined = Buffer.alloc(0);
  let bytes = 0;
  let records = 0;
  let first: Buffer | undefined;
  let last: Buffer | undefined;
  let lastSeq = 0;
  for await (const chunk of chunks) {
    hash.update(chunk);
    bytes += chunk.length;
    let body: Uint8Array = chunk;
    if (head !== undefined) {
      head = Buffer.concat([head, chunk]);
      if (head.length < identityLine.length) continue;
      if (!head.subarray(0, identityLine.length).equals(identityLine)) return undefined;
      body = head.subarray(identityLine.length);
      head = undefined;
    }
    for (const entry of scanner.push(body)) {
      if (entry.type !== "run" && entry.type !== "gap") return undefined;
      const [from, to] = entry.type === "run" ? [entry.firstSeq, entry.lastSeq] : [entry.record.seq, entry.record.seq];
      if (from <= lastSeq) return undefined;
      lastSeq = to;
      records += entry.type === "run" ? entry.count : 1;
      first ??= Buffer.from(firstLine(entry.bytes));
      last = Buffer.from(lastLine(entry.bytes));
    }
  }
  if (head !== undefined || scanner.pendingBytes > 0) return undefined;
  const [from, to] = [first, last].map((line) => (line === undefined ? undefined : decodeRecord(line)));
  return {
    records,
    first_seq: from?.seq ?? 0,
    last_seq: to?.seq ?? 0,
    first_timestamp: from?.timestamp ?? 0,
    last_timestamp: to?.timestamp ?? 0,
    bytes,
    sha256: hash.digest("hex"),
  };
}
