// Small helpers for the tests of the simulated disk.
import { writeAll } from "../../src/env/durable.ts";
import type { Env } from "../../src/env/env.ts";
import { PapyraError } from "../../src/errors.ts";
import type { SimDisk } from "../../src/testing/sim-disk.ts";

/** Makes a file with one write for each part, nothing synced. */
export async function createFile(env: Env, path: string, ...parts: string[]): Promise<void> {
  const file = await env.fs.open(path, "create");
  let position = 0;
  for (const part of parts) {
    await writeAll(file, Buffer.from(part), position);
    position += part.length;
  }
  await file.close();
}

/** Makes a file whose bytes are synced; its name is not. */
export async function createSynced(env: Env, path: string, text: string): Promise<void> {
  const file = await env.fs.open(path, "create");
  await writeAll(file, Buffer.from(text), 0);
  await file.sync();
  await file.close();
}

/** The code and details of the PapyraError that a promise rejects with. */
export async function failure(promise: Promise<unknown>): Promise<Record<string, unknown>> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof PapyraError)) throw new Error(`expected a PapyraError, got ${String(error)}`);
  return { code: error.code, ...error.details };
}

/** Every file with its content as text. */
export function texts(disk: SimDisk): Record<string, string> {
  return Object.fromEntries([...disk.tree()].map(([path, bytes]) => [path, bytes.toString("latin1")]));
}
