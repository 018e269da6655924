// The quarantine inside the server: what recovery takes out, in a stream of its own, when no directory was named.
import type { Connection } from "./connection.ts";

/** Each piece says which recovery and file it is of, and which piece of it. */
const PIECE_BYTES = 256 << 10;

export async function keepInStream(
  connection: Connection,
  key: string,
  run: string,
  files: ReadonlyMap<string, AsyncIterable<Uint8Array>>,
): Promise<void> {
  for (const [file, content] of files) {
    let piece = 0;
    for await (const bytes of content) {
      for (let from = 0; from < bytes.length; from += PIECE_BYTES) {
        const part = Buffer.from(bytes.subarray(from, from + PIECE_BYTES));
        // Sent again when the answer was lost: who puts the pieces together takes each number once.
        const fields = ["run", run, "file", file, "piece", String(piece), "data", part];
        await connection.command("XADD", key, "*", ...fields);
        piece += 1;
      }
    }
  }
}
