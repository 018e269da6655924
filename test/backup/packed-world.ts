// What the tests of packed repositories share: identities, ways to pack, crashes, and errors as data.
import { expect } from "vitest";
import { directoryObjects } from "../../src/backup/directory.ts";
import type { ObjectStore } from "../../src/backup/objects.ts";
import { packObjects, type PackedOptions } from "../../src/backup/packed.ts";
import { isPapyraError, type PapyraError } from "../../src/errors.ts";
import type { SimCall, SimDisk } from "../../src/testing/sim-disk.ts";
import { impatient } from "../sim-env.ts";

export interface Person {
  readonly identity: string;
  readonly recipient: string;
}

export async function person(): Promise<Person> {
  const { generateX25519Identity, identityToRecipient } = await import("age-encryption");
  const identity = await generateX25519Identity();
  return { identity, recipient: await identityToRecipient(identity) };
}

export const [ada, bob, eve] = await Promise.all([person(), person(), person()]);

export function encryptedFor(...people: readonly Person[]): PackedOptions {
  return {
    recipients: people.map(({ recipient }) => recipient),
    identities: people.map(({ identity }) => identity),
  };
}

export function identitiesOf(...people: readonly Person[]): PackedOptions {
  return { identities: people.map(({ identity }) => identity) };
}

/** The repository of a world, on whatever disk has followed it. */
export function repositoryOn(disk: SimDisk, options: PackedOptions): ObjectStore {
  return packObjects(directoryObjects(impatient(disk), "/backups/repository"), options);
}

/** The code, and the error, with which a call rejects. */
export async function refusal(call: Promise<unknown>): Promise<PapyraError> {
  const error: unknown = await call.then(
    (value) => expect.fail(`it resolved with ${String(value)}`),
    (thrown: unknown) => thrown,
  );
  if (!isPapyraError(error)) throw error;
  return error;
}

export async function namesIn(objects: ObjectStore, prefix: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of objects.list(prefix)) names.push(name);
  return names;
}

const ONLY_LOOKS: ReadonlySet<string> = new Set(["read", "stat", "list", "open", "close"]);

/** Every disk that a crash during `work` could leave behind: killed, and with the power gone. */
export async function crashesOf(
  disk: SimDisk,
  work: () => Promise<unknown>,
): Promise<{ disk: SimDisk; how: string }[]> {
  const after: { disk: SimDisk; how: string }[] = [];
  disk.pause = ({ n, operation, path }: SimCall) => {
    if (ONLY_LOOKS.has(operation)) return;
    const at = `at call ${n} (${operation} ${path})`;
    after.push({ disk: disk.afterKill(), how: `killed ${at}` });
    for (const seed of [1, 2]) after.push({ disk: disk.afterReboot(seed), how: `power cut ${at}, seed ${seed}` });
  };
  await work();
  disk.pause = undefined;
  return after;
}
