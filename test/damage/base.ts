// A small store with a bit of everything, to be damaged: all five logs, several batches, closed segments, a gap record,
// and, if wanted, a closed segment that still ends in the rest of an unfinished write.
import { fileBackend } from "../../src/backends/files.ts";
import { openStore } from "../../src/backends/open.ts";
import type { Env } from "../../src/env/env.ts";
import { LOG_NAMES, type LogName, type NewRecord } from "../../src/log/record.ts";
import { parseFileName } from "../../src/log/segments.ts";
import { recover } from "../../src/ops/recover.ts";
import { scan, type ScanReport } from "../../src/ops/scan.ts";
import { SimDisk } from "../../src/testing/sim-disk.ts";

export const PATH = "/data/s";

/** What a test damages: the bytes of each file of a store, by name; GONE itself for a file that is gone. */
export type Files = ReadonlyMap<string, Buffer>;
export const GONE: Buffer = Buffer.from("gone");

export interface Base {
  readonly disk: SimDisk;
  /** Segments and papyra.json, as they were before any damage. */
  readonly files: ReadonlyMap<string, Buffer>;
  readonly last: Readonly<Record<LogName, number>>;
  /** Every line that was ever written to a log, without its line break, by seq. */
  readonly written: ReadonlyMap<LogName, ReadonlyMap<number, string>>;
  readonly identity: ReadonlyMap<LogName, string>;
  /** What a scan says before any damage. */
  readonly scan: ScanReport;
  /** Where the rest of an unfinished write stands, if it does. */
  readonly torn: { readonly file: string; readonly offset: number } | undefined;
}

/** A record of as few bytes as can be: each of them will be damaged. */
export function note(payload: unknown): NewRecord {
  return { kind: "event", payload } as NewRecord;
}

const TORN = Buffer.from('{"seq":77,"kind":"event","timest');

/** How the files of a store are changed behind its back. */
export interface Place {
  readonly env: Env;
  readonly path: string;
  readonly tear: (file: string, bytes: Buffer) => Promise<void>;
  readonly flip: (file: string) => Promise<void>;
}

export async function writeStore({ env, path, tear, flip }: Place, withTorn: boolean): Promise<void> {
  const backend = fileBackend({ path }, env);
  const write = async (...batches: readonly (readonly [LogName, readonly number[]])[]): Promise<void> => {
    const store = await openStore(backend);
    for (const [log, payloads] of batches) await store.append(log, payloads.map(note));
    await store.close();
  };
  await write(["events", [1, 2]], ["journal", [1]], ["journal", [2, 3]]);
  await write(["audits", [1]], ["dead_letters", [1, 2]], ["snapshots", [1]]);
  await tear("journal.ndjson", TORN);
  await write(["journal", [4]], ["events", [3]]);
  await flip("events.ndjson");
  const report = await recover(backend, { mode: "quarantine" });
  if (!report.ok || report.gaps.length !== 1) throw new Error(`the store to damage was not made: ${report.verdict}`);
  if (withTorn) {
    await tear("audits.ndjson", TORN);
    await write(["audits", [2, 3]]);
  }
  await write(["events", [4]], ["journal", [5]]);
}

export async function simBase(withTorn: boolean, seed: number = 1, path: string = PATH): Promise<Base> {
  const disk = new SimDisk({ seed, startMs: 1000 });
  const file = (name: string): string => `${path}/${name}`;
  await writeStore(
    {
      env: disk.env,
      path,
      tear: async (name, bytes) => disk.corrupt(file(name), (content) => Buffer.concat([content, bytes])),
      flip: async (name) =>
        disk.corrupt(file(name), (content) => {
          content[content.indexOf('{"seq":2') + 12]! ^= 1;
          return content;
        }),
    },
    withTorn,
  );
  const files = new Map<string, Buffer>();
  for (const [name, bytes] of disk.tree()) {
    const base = name.slice(path.length + 1);
    if (["active", "closed", "store"].includes(parseFileName(base).type)) files.set(base, bytes);
  }
  return describeBase(disk, files, await scan(fileBackend({ path }, disk.env)));
}

export function describeBase(disk: SimDisk, files: ReadonlyMap<string, Buffer>, report: ScanReport): Base {
  const written = new Map(LOG_NAMES.map((log) => [log, new Map<number, string>()]));
  const identity = new Map<LogName, string>();
  let torn: Base["torn"];
  for (const [name, bytes] of files) {
    const log = logOf(name);
    if (log === undefined) continue;
    const [head, ...lines] = linesOf(bytes);
    identity.set(log, head as string);
    for (const line of lines) {
      if (line.startsWith('{"kind":"seal"')) continue; // the segment was mended before
      const seq = Number(/^\{"seq":(\d+),/.exec(line)?.[1]);
      if (line.endsWith('"}\n')) written.get(log)?.set(seq, line.slice(0, -1));
      else torn = { file: name, offset: bytes.length - line.length };
    }
  }
  const last = Object.fromEntries(report.logs.map(({ log, lastSeq }) => [log, lastSeq])) as Record<LogName, number>;
  return { disk, files, last, written, identity, scan: report, torn };
}

export function logOf(file: string): LogName | undefined {
  const parsed = parseFileName(file);
  return parsed.type === "active" || parsed.type === "closed" ? parsed.log : undefined;
}

/** Whether a file of a store is damaged by these tests: a segment, or papyra.json. */
export function isContent(name: string): boolean {
  return logOf(name) !== undefined || name === "papyra.json";
}

/** The lines of some bytes as one character a byte, line breaks included. */
export function linesOf(bytes: Buffer): string[] {
  return bytes.toString("latin1").match(/[^\n]*\n|[^\n]+$/g) ?? [];
}
