// Options that several commands below `papyra backup` share.
import type { ObjectStore } from "../backup/objects.ts";
import type { Point } from "../backup/points.ts";
import type { DefinedActors } from "../backup/states.ts";
import { PapyraError } from "../errors.ts";
import { LOG_NAMES, type LogName } from "../log/record.ts";
import type { Loading } from "../rdb/load.ts";
import type { Context } from "./context.ts";
import { isBucket } from "./open-bucket.ts";
import { onlyOneOf } from "./plans.ts";
import { parseTime } from "./times.ts";

export function watched(context: Context, what: string) {
  return { signal: context.signal, onProgress: context.progress(what) };
}

/** The actors of the configuration. Rejects with OPTION_INVALID where they are needed and there are none. */
export async function definedActors(
  context: Context,
  need: "required" | "optional" = "required",
): Promise<DefinedActors | undefined> {
  const { config } = await context.config();
  const actors = config.actors as DefinedActors | undefined;
  if (actors !== undefined && actors.length > 0) return actors;
  if (need === "optional") return undefined;
  throw new PapyraError(
    "OPTION_INVALID",
    "--states needs the definitions of the actors, and no configuration names any",
    {
      hint: "put them into papyra.config.ts: export default defineConfig({ actors: [account] })",
    },
  );
}

export function pointOf(context: Context): Point {
  onlyOneOf(context, "toBackup", "toTime", "toSeq");
  const [backup, time, seq] = [context.given("toBackup"), context.given("toTime"), context.given("toSeq")];
  if (time !== undefined) return { timeMs: parseTime("--to-time", time, context.env.clock.nowMs()) };
  if (seq === undefined) return backup === undefined ? {} : { backup };
  const [, log, number] = /^([a-z_-]+):([1-9]\d{0,14})$/.exec(seq) ?? [];
  const name = log?.replace("-", "_") as LogName;
  if (number === undefined || !LOG_NAMES.includes(name)) {
    throw new PapyraError("OPTION_INVALID", `--to-seq is no record of a log: ${JSON.stringify(seq)}`, {
      hint: "give a log and a seq: events:500, journal:12",
    });
  }
  return { log: name, seq: Number(number) };
}

/** By --scratch, or beside the repository; of one in a bucket, where the command runs. */
export function scratchOf(context: Context, objects: ObjectStore, purpose: string): string {
  const named = context.given("scratch");
  if (named !== undefined) return context.resolve(named);
  const { location } = objects;
  const beside = isBucket(location) ? context.resolve("papyra") : location;
  return `${beside}.${purpose}-${context.env.random.hex(4)}`;
}

/** How a server is started that loads a file of its kind. */
export function loadingOf(context: Context, objects: ObjectStore, purpose: string): Loading {
  const { serverWorld: world, io, signal } = context;
  const named = context.given("redisServer") ?? (io.env.PAPYRA_REDIS_SERVER || undefined);
  const programs = async () => {
    const { findPrograms } = await import("../rdb/world.ts");
    return findPrograms(world.env.fs, named === undefined ? undefined : context.resolve(named), io.env.PATH ?? "");
  };
  return { world, programs, scratch: scratchOf(context, objects, purpose), signal };
}
