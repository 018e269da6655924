// The quarantine inside the server: what recovery takes out, in a stream of its own, when no directory was named.
import { PapyraError } from "../errors.ts";
import type { Connection, Reply } from "./connection.ts";

/** Each piece says which recovery and file it is of, and which piece of it. */
const PIECE_BYTES = 256 << 10;
const PIECES_AT_ONCE = 16;

export async function keepInStream(
  connection: Connection,
  key: string,
  run: string,
  files: ReadonlyMap<string, AsyncIterable<Uint8Array>>,
): Promise<void> {
  for (const [file, content] of files) {
    let piece = 0;
    const put = async (part: Buffer): Promise<void> => {
      // Sent again when the answer was lost: who puts the pieces together takes each number once.
      const fields = ["run", run, "file", file, "piece", String(piece), "data", part];
      await connection.command("XADD", key, "*", ...fields);
      piece += 1;
    };
    for await (const bytes of content) {
      for (let from = 0; from < bytes.length; from += PIECE_BYTES) {
        await put(Buffer.from(bytes.subarray(from, from + PIECE_BYTES)));
      }
    }
    if (piece === 0) await put(Buffer.alloc(0)); // an empty file is one, too
  }
}

/** Bytes of one file. Rejects with STORE_NOT_FOUND. */
export async function* readFromStream(
  connection: Connection,
  key: string,
  run: string,
  file: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  let piece = 0;
  for (let start = "-"; ; ) {
    const page = (await connection.command("XRANGE", key, start, "+", "COUNT", String(PIECES_AT_ONCE))) as Reply[][];
    for (const [id, fields] of page as [Reply, Reply[]][]) {
      start = `(${String(id)}`;
      const [, ofRun, , ofFile, , number, , data] = fields;
      if (String(ofRun) !== run || String(ofFile) !== file || String(number) !== String(piece)) continue;
      yield data as Buffer;
      piece += 1;
    }
    if (page.length < PIECES_AT_ONCE) break;
  }
  if (piece > 0) return;
  throw new PapyraError("STORE_NOT_FOUND", `nothing is kept as ${run}/${file} in ${key}`, {
    hint: "check the id of the recovery, and --quarantine-dir if one was named",
    details: { key, run, file },
  });
}
