// A Redis store under test: one system on a real server, with its bytes open to who wants to damage them behind its back.
import { randomBytes } from "node:crypto";
import type { Backend } from "../../src/backends/backend.ts";
import type { Env } from "../../src/env/env.ts";
import { nodeEnv } from "../../src/env/node.ts";
import { redisStore, type RedisStoreOptions } from "../../src/redis/index.ts";
import { decodeLayout, encodeLayout } from "../../src/redis/layout.ts";
import type { ContractSubject } from "../../src/testing/index.ts";
import type { Admin, RedisServer } from "./server.ts";

export interface RawEntry {
  readonly id: string;
  readonly data: Buffer;
}

export async function rawEntries(admin: Admin, key: string): Promise<RawEntry[]> {
  const { RESP_TYPES } = await import("redis");
  const bytes = admin.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  const reply = await bytes.sendCommand<[Buffer, [Buffer, Buffer]][]>(["XRANGE", key, "-", "+"]);
  return reply.map(([id, [, data]]) => ({ id: id.toString(), data }));
}

/** The lines of a segment, by the numbers in their ids: its own, or those of the segments that it was made of. */
export async function entriesOf(admin: Admin, backend: Backend, base: string, name: string): Promise<RawEntry[]> {
  const { segments, superseded } = await backend.view();
  const segment = [...segments, ...superseded].find((one) => one.name === name);
  if (segment === undefined) throw new Error(`there is no segment ${name}`);
  const noted = decodeLayout((await admin.hGet(`${base}:meta`, segment.log as string)) ?? undefined) ?? [];
  const runs = noted.find((one) => one.name === name)?.runs ?? [];
  const numbers = new Set([segment.id.split(".")[0] as string, ...runs.map(({ ms }) => String(ms))]);
  const all = await rawEntries(admin, `${base}:${segment.log}`);
  return all.filter(({ id }) => numbers.has(id.split("-")[0] as string));
}

function linesOf(bytes: Buffer): Buffer[] {
  const lines: Buffer[] = [];
  for (let from = 0; from < bytes.length; ) {
    const to = bytes.indexOf(0x0a, from) + 1 || bytes.length;
    lines.push(bytes.subarray(from, to));
    from = to;
  }
  return lines;
}

/** The store's own numbers are times. */
const ADDED_BELOW = 1000;

/** A closed segment that was not there gets a number before all others; where it belongs, its name says. */
async function addSegment(admin: Admin, base: string, name: string): Promise<{ log: string; id: string }> {
  const [log] = name.split(".") as [string];
  const known = decodeLayout((await admin.hGet(`${base}:meta`, log)) ?? undefined) ?? [];
  const number = 1 + known.filter((one) => one.number < ADDED_BELOW).length;
  const segment = { number, name, bytes: 0, runs: [{ ms: number, off: 0, at: 0 }] };
  await admin.hSet(`${base}:meta`, log, encodeLayout([segment, ...known]));
  return { log, id: String(number) };
}

/** Puts other bytes in place of those of a segment: the stream is made anew, its last id stays what it was. */
async function replaceSegment(
  admin: Admin,
  backend: Backend,
  base: string,
  place: { readonly name: string; readonly bytes: Uint8Array | undefined },
): Promise<void> {
  const { segments, superseded } = await backend.view();
  const there = [...segments, ...superseded].find(({ name }) => name === place.name);
  const segment =
    there === undefined
      ? await addSegment(admin, base, place.name)
      : { log: there.log as string, id: there.id.split(".")[0] as string };
  const key = `${base}:${segment.log}`;
  const all = await rawEntries(admin, key);
  const last = (await admin.sendCommand<unknown[]>(["XINFO", "STREAM", key])) as (string | number)[];
  const lastId = String(last[last.indexOf("last-generated-id") + 1]);
  let offset = 0;
  const lines = linesOf(Buffer.from(place.bytes ?? [])).map((data) => {
    const id = `${segment.id}-${offset}`;
    offset += data.length;
    return { id, data };
  });
  const kept = all.filter(({ id }) => id.split("-")[0] !== segment.id);
  const [before, behind] = [true, false].map((less) =>
    kept.filter(({ id }) => Number(id.split("-")[0]) < Number(segment.id) === less),
  ) as [RawEntry[], RawEntry[]];
  const entries = [...before, ...lines, ...behind];
  await admin.sendCommand(["DEL", key]);
  for (const { id, data } of entries) await admin.sendCommand(["XADD", key, id, "data", data]);
  const newest = entries.at(-1)?.id;
  if (newest !== undefined && compare(newest, lastId) < 0) await admin.sendCommand(["XSETID", key, lastId]);
  if (place.bytes === undefined) await forgetAdded(admin, base, segment.log, place.name);
}

/** One that somebody has added, and takes away, leaves nothing; of the store's own the note stays, as it would. */
async function forgetAdded(admin: Admin, base: string, log: string, name: string): Promise<void> {
  const known = decodeLayout((await admin.hGet(`${base}:meta`, log)) ?? undefined) ?? [];
  const rest = known.filter((one) => one.name !== name || one.number >= ADDED_BELOW);
  if (rest.length < known.length) await admin.hSet(`${base}:meta`, log, encodeLayout(rest));
}

function compare(a: string, b: string): number {
  const [x, y] = [a, b].map((id) => id.split("-").map(Number)) as [number[], number[]];
  return (x[0] as number) - (y[0] as number) || (x[1] as number) - (y[1] as number);
}

/** Everything that recovery has kept in the server, put together from its pieces. */
async function quarantined(admin: Admin, base: string): Promise<Map<string, Buffer>> {
  const { RESP_TYPES } = await import("redis");
  const bytes = admin.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  const reply = await bytes.sendCommand<[Buffer, Buffer[]][]>(["XRANGE", `${base}:quarantine`, "-", "+"]);
  const pieces = new Map<string, Map<number, Buffer>>();
  for (const [, fields] of reply) {
    const [, run, , file, , piece, , data] = fields as [Buffer, Buffer, Buffer, Buffer, Buffer, Buffer, Buffer, Buffer];
    const name = `${String(run)}/${String(file)}`;
    if (!pieces.has(name)) pieces.set(name, new Map());
    pieces.get(name)?.set(Number(piece), data);
  }
  return new Map([...pieces].map(([name, parts]) => [name, Buffer.concat([...parts.values()])]));
}

export function uniqueSystem(): string {
  return `s${randomBytes(6).toString("hex")}`;
}

/** The contract subject over a server. */
export function redisSubject(
  server: () => { readonly server: RedisServer; readonly admin: Admin },
  withWall: (env: Env, nowMs: (() => number) | undefined) => Env,
  more: Partial<RedisStoreOptions> = {},
): ContractSubject {
  return {
    async make({ limits, nowMs }) {
      const { server: running, admin } = server();
      const systemId = uniqueSystem();
      const base = more.hashTag === true ? `{papyra:${systemId}}` : `papyra:${systemId}`;
      const env = withWall(nodeEnv, nowMs);
      const backend = (): Backend => redisStore({ url: running.url, systemId, ...more, ...limits }, env);
      return {
        backend,
        segmentBytes: async (name) =>
          Buffer.concat((await entriesOf(admin, backend(), base, name)).map(({ data }) => data)),
        putSegment: (name, bytes) => replaceSegment(admin, backend(), base, { name, bytes }),
        quarantined: () => quarantined(admin, base),
        dispose: async () => {
          const keys = await admin.keys(`${base.replaceAll("{", "\\{")}:*`);
          if (keys.length > 0) await admin.del(keys);
        },
      };
    },
  };
}
