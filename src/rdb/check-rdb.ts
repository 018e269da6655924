// What an RDB file says of itself, and what redis-check-rdb says of it.
import { readStart } from "../env/durable.ts";
import { PapyraError } from "../errors.ts";
import { type Programs, run, type ServerWorld } from "./world.ts";

export interface CheckedRdb {
  /** "REDIS0010", "VALKEY080". */
  readonly format: string;
  /** The version that wrote it. */
  readonly server: string | null;
  /** When that began, in whole epoch seconds of its clock. */
  readonly begun: number | null;
  readonly check: string;
}

const MAGIC = /^(?:REDIS\d{4}|VALKEY\d{3})/;
const MAGIC_BYTES = 9;

/** Rejects with BACKUP_DAMAGED when it is not a whole file, naming `what` it is. */
export async function checkRdb(
  world: ServerWorld,
  { checkRdb: program }: Programs,
  file: string,
  what: string,
  signal?: AbortSignal,
): Promise<CheckedRdb> {
  const start = (await readStart(world.env.fs, file, MAGIC_BYTES)).toString("latin1");
  const [format] = MAGIC.exec(start) ?? [];
  if (format === undefined) {
    throw damaged(what, `it is no RDB file: it begins with ${JSON.stringify(start)}`);
  }
  const { ok, how, lines } = await run(world, program, [file], signal);
  const said = lines.map((line) => line.replace(/^\[offset \d+\] /, ""));
  if (!ok) throw refusal(what, how, lines);
  const aux = (name: string): string | null => {
    const pattern = new RegExp(`AUX FIELD ${name} = '([^']*)'`);
    return said.flatMap((line) => pattern.exec(line)?.[1] ?? [])[0] ?? null;
  };
  const ctime = aux("ctime");
  return {
    format,
    server: aux("valkey-ver") ?? aux("redis-ver"),
    begun: ctime === null ? null : Number(ctime),
    check: said.find((line) => line.includes("looks OK"))?.trim() ?? how,
  };
}

function refusal(what: string, how: string, lines: readonly string[]): PapyraError {
  const error =
    lines[lines.findIndex((line) => line.includes("RDB ERROR DETECTED")) + 1] ?? lines.at(-1) ?? "it says nothing";
  if (!/(?:Unknown|Can't handle) RDB format version|Wrong signature/i.test(lines.join("\n")))
    return damaged(what, `redis-check-rdb (${how}): ${error}`);
  return new PapyraError("FORMAT_UNKNOWN", `redis-check-rdb does not know the format of ${what}: ${error}`, {
    hint: "name a server of the version that wrote it, or a later one: --redis-server <program>",
  });
}

function damaged(what: string, why: string): PapyraError {
  return new PapyraError("BACKUP_DAMAGED", `${what} is not a whole RDB file: ${why}`, {
    hint: "take another one; a file that is being copied is not whole yet",
  });
}
