// A closed segment behind the others of a store in the making, which has no active segment and no reader yet. Batch by batch
// the stream is a whole log that ends there: a crash leaves a shorter one.
import type { LogName } from "../log/record.ts";
import { settled } from "./claim-reply.ts";
import type { Connection } from "./connection.ts";
import { after, fresh, type StreamWrite, writeArguments } from "./ends.ts";
import type { Keys } from "./keys.ts";
import { encodeLayout, idText, parseId } from "./layout.ts";
import type { Lease } from "./lease.ts";
import type { LogLook } from "./look.ts";
import { linesOf } from "./replace.ts";
import { WRITE } from "./scripts.ts";

const BATCH_BYTES = 512 << 10;

export async function addSegment(
  connection: Connection,
  keys: Keys,
  lease: Lease,
  made: {
    readonly log: LogName;
    readonly seen: LogLook;
    readonly name: string;
    readonly content: AsyncIterable<Uint8Array>;
  },
): Promise<void> {
  const { log, seen, name, content } = made;
  const number = Math.max(lease.sinceMs, parseId(seen.last).ms + 1);
  let [expected, next, written] = [seen.last, idText({ ms: number, off: 0 }), 0];
  const write = async (bytes: Buffer): Promise<void> => {
    written += bytes.length;
    const layout = encodeLayout([...seen.segments, { ...fresh(number, name), bytes: written }]);
    const part: StreamWrite = { log, expected, next, bytes, seq: seen.end?.seq ?? 0, reaches: written };
    const args = [lease.token, lease.value, String(lease.leaseMs), "1", log, layout, ...writeArguments(part)];
    settled(await connection.script(WRITE, [keys.meta, keys.writer, keys.stream(log)], args), keys.stream(log));
    ({ last: expected, next } = after(part));
  };
  let batch: Buffer[] = [];
  let held = 0;
  for await (const line of linesOf(content)) {
    batch.push(Buffer.from(line)); // a chunk is valid until the next is asked for
    held += line.length;
    if (held < BATCH_BYTES) continue;
    await write(Buffer.concat(batch));
    [batch, held] = [[], 0];
  }
  if (held > 0) await write(Buffer.concat(batch));
}
