// A store in the making under keys of its own, beside those that it shall have. One script gives it its place: no key that is
// there already is touched, and who waits for a stream sees none, or all of it. What a crash leaves, the next one removes.
import type { Backend, Claim, Stage } from "../backends/backend.ts";
import { PapyraError } from "../errors.ts";
import { LOG_NAMES } from "../log/record.ts";
import { settled } from "./claim-reply.ts";
import type { Connection } from "./connection.ts";
import { makeGroups } from "./group-states.ts";
import { everyKey, type Keys, keysOf } from "./keys.ts";
import { TAKE_PLACE } from "./scripts.ts";

/** Rejects with TARGET_NOT_EMPTY, STORE_LOCKED. */
export async function stageStore(
  connection: Connection,
  place: { readonly keys: Keys; readonly location: string },
  aside: { readonly backend: Backend; readonly base: string; readonly purpose: string },
): Promise<Stage> {
  const { keys, location } = place;
  const staged = keysOf(aside.base);
  for (const key of everyKey(keys)) {
    if ((await connection.command("EXISTS", key)) === 1) throw taken(location, key);
  }
  const claim = await aside.backend.claim(aside.purpose);
  /** Another one that takes over changes it, and this one publishes nothing any more. */
  const token = String(await connection.command("HGET", staged.meta, "writer"));
  const drop = async (): Promise<void> => {
    const built = everyKey(staged).filter((key) => key !== staged.meta && key !== staged.writer);
    await connection.command("UNLINK", ...built);
    await connection.command("HDEL", staged.meta, "identity", ...LOG_NAMES.flatMap(fieldsOf));
  };
  try {
    await drop();
  } catch (error) {
    await claim.release();
    throw error;
  }
  return {
    // Whoever builds it looks at it: no writer is in the way.
    backend: { ...aside.backend, view: () => claim.view(), claim: claimed(location) },
    freeBytes: () => aside.backend.freeBytes(),
    build: (work) => work(claim),
    async makeGroups(log, groups) {
      const { identity } = await claim.view();
      if (identity === undefined) throw new PapyraError("INTERNAL", "groups were made before the store was built");
      const { meta, writer } = staged;
      await makeGroups(
        connection,
        { meta, writer, stream: staged.stream(log), token, lineages: identity, log },
        groups,
      );
    },
    async publish() {
      const pairs = LOG_NAMES.flatMap((log) => [staged.stream(log), keys.stream(log)]);
      const all = [staged.meta, staged.writer, keys.meta, ...pairs, ...everyKey(keys)];
      const reply = await connection.script(TAKE_PLACE, all, [token, String(LOG_NAMES.length)]);
      if (String(reply[0]) === "TAKEN") throw taken(location, String(reply[1]));
      settled(reply, location);
      await claim.release();
    },
    async discard() {
      try {
        await drop();
        await claim.release();
      } catch {
        // the next one finds and removes it
      }
    },
  };
}

function fieldsOf(log: string): string[] {
  return [log, `${log}:end`, `${log}:superseded`];
}

function claimed(location: string): () => Promise<Claim> {
  return () => Promise.reject(new PapyraError("STORE_LOCKED", `the store at ${location} is in the making`));
}

function taken(location: string, key: string): PapyraError {
  return new PapyraError("TARGET_NOT_EMPTY", `${location} is there already (${key}): a restore never overwrites`, {
    hint: "name another --system or --prefix, look at what was restored, then let the service use that one",
    details: { target: location, key },
  });
}
