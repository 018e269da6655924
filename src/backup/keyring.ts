// The keys of an encrypted repository. keys/<n>.age is an age file with all of them: every data key so far, the key that hides
// names, and for whom it is encrypted. The newest one counts. Beside it keys/<n>.sha256, as sha256sum writes it, tells a damaged
// key file from a wrong identity: age alone cannot.
// Making one: 1. keys/<n>.age, of several at once only one wins: from here on it counts; 2. its checksum. A crash between them
// costs nothing but that distinction, until something is stored.
import { PapyraError } from "../errors.ts";
import { parseObject } from "../log/codec.ts";
import { decryptWith, encryptTo } from "./age.ts";
import { KEY_BYTES, newKey } from "./cipher.ts";
import type { ObjectStore } from "./objects.ts";
import type { DataKey } from "./pack.ts";
import { sha256Of } from "./sealed-json.ts";

const PREFIX = "keys/";
const KEY_FILE = /^keys\/(\d{6})\.(age|sha256)$/;
const VERSION = 1;

/** The keys of a repository, open. */
export interface Keyring {
  /** Of its file, and of the data key for what is stored from now on. */
  readonly number: number;
  readonly recipients: readonly string[];
  /** Hides the hashes in names; the same for ever. */
  readonly names: Buffer;
  readonly keys: ReadonlyMap<number, Buffer>;
}

/** The files below keys/. */
export interface KeyFiles {
  /** Of the newest one; 0: the repository is not encrypted. */
  readonly newest: number;
  readonly checksum: boolean;
  /** What an interrupted rotation has left. */
  readonly former: readonly string[];
}

export async function findKeyFiles(objects: ObjectStore): Promise<KeyFiles> {
  const names: string[] = [];
  let newest = 0;
  for await (const { name } of objects.list(PREFIX)) {
    const [, number, kind] = KEY_FILE.exec(name) ?? [];
    if (number === undefined) continue;
    names.push(name);
    if (kind === "age") newest = Math.max(newest, Number(number));
  }
  const former = names.filter((name) => Number(KEY_FILE.exec(name)?.[1]) < newest);
  return { newest, checksum: names.includes(checksumName(newest)), former };
}

export function keyFileName(number: number): string {
  return `${PREFIX}${String(number).padStart(6, "0")}.age`;
}

function checksumName(number: number): string {
  return keyFileName(number).replace(/age$/, "sha256");
}

/** Rejects with KEY_WRONG, BACKUP_DAMAGED (the key file is), FORMAT_UNKNOWN, OPTION_INVALID. */
export async function openKeyring(
  objects: ObjectStore,
  { newest: number, checksum }: KeyFiles,
  identities: readonly string[],
): Promise<Keyring> {
  const name = keyFileName(number);
  const file = await objects.get(name);
  if (file === undefined) throw damagedKeys(objects, name, "is gone");
  const plain = identities.length === 0 ? undefined : await decryptWith(identities, file);
  if (plain !== undefined) return decodeKeyring(objects, name, number, plain);
  const stated = checksum ? (await objects.get(checksumName(number)))?.toString("latin1").slice(0, 64) : undefined;
  const damaged = stated === undefined ? !file.subarray(0, 19).equals(AGE) : stated !== sha256Of(file);
  if (damaged) throw damagedKeys(objects, name, "is not what was stored");
  throw keyWrong(objects, name, identities.length);
}

const AGE = Buffer.from("age-encryption.org/");

function keyWrong({ location }: ObjectStore, name: string, identities: number): PapyraError {
  const what =
    identities === 0
      ? `${location} is encrypted, and no identity was given`
      : `${location} is encrypted, and ${identities === 1 ? "the identity" : `none of the ${identities} identities`} that was given opens ${name}`;
  return new PapyraError("KEY_WRONG", what, {
    hint: "give the identity of one of its recipients: --age-identity FILE, PAPYRA_AGE_IDENTITY, or `identities` of packed(); after a rotation only those of the new recipients count",
    details: { object: name },
  });
}

/** Of a key file; one of an object is told by whoever wanted it. */
function damagedKeys({ location }: ObjectStore, name: string, what: string): PapyraError {
  return new PapyraError("BACKUP_DAMAGED", `the key file ${name} in ${location} ${what}`, {
    hint: `put your copy of it back; without it nothing that is encrypted in ${location} can be read`,
    details: { object: name },
  });
}

/** Stores the next keyring, with a new data key. Resolves with undefined when somebody else stored one meanwhile. */
export async function makeKeyring(
  objects: ObjectStore,
  recipients: readonly string[],
  former: Keyring | undefined,
  identities?: readonly string[],
): Promise<Keyring | undefined> {
  const number = (former?.number ?? 0) + 1;
  const keys = new Map([...(former?.keys ?? []), [number, newKey()]]);
  const ring: Keyring = { number, recipients, names: former?.names ?? newKey(), keys };
  const name = keyFileName(number);
  const file = await encryptTo(recipients, encodeKeyring(ring, objects.env.clock.nowMs()));
  if (identities !== undefined && identities.length > 0 && (await decryptWith(identities, file)) === undefined)
    throw new PapyraError("KEY_WRONG", "none of the recipients belongs to an identity that was given", {
      hint: "the recipient of an identity is what `age-keygen -y FILE` prints",
    });
  if (!(await objects.put(name, file, { ifAbsent: true }))) return undefined;
  await putChecksum(objects, number, file);
  return ring;
}

/** For a key file that somebody has just made or opened. */
export async function putChecksum(objects: ObjectStore, number: number, file?: Buffer): Promise<void> {
  const bytes = file ?? (await objects.get(keyFileName(number)));
  if (bytes === undefined) throw damagedKeys(objects, keyFileName(number), "is gone");
  const base = keyFileName(number).slice(PREFIX.length);
  await objects.put(checksumName(number), Buffer.from(`${sha256Of(bytes)}  ${base}\n`));
}

/** Whether a key file is there, as its checksum says. Rejects with BACKUP_DAMAGED. */
export async function assertStored(objects: ObjectStore, number: number): Promise<void> {
  const name = keyFileName(number);
  const [file, stated] = [await objects.get(name), await objects.get(checksumName(number))];
  if (file === undefined || stated?.toString("latin1").slice(0, 64) !== sha256Of(file))
    throw damagedKeys(objects, name, "is not what was stored");
}

/** The data key for what is stored from now on. */
export function currentKey({ number, keys }: Keyring): DataKey {
  return { number, key: keys.get(number) as Buffer };
}

function encodeKeyring({ recipients, names, keys }: Keyring, nowMs: number): Buffer {
  const hex = Object.fromEntries([...keys].map(([number, key]) => [number, key.toString("hex")]));
  const fields = { papyra_keys: VERSION, created: nowMs / 1000, recipients, names: names.toString("hex"), keys: hex };
  return Buffer.from(`${JSON.stringify(fields)}\n`);
}

function decodeKeyring(objects: ObjectStore, name: string, number: number, plain: Buffer): Keyring {
  const fields = parseObject(plain);
  if (fields === undefined) throw damagedKeys(objects, name, "holds no keys");
  const { papyra_keys: version, recipients, names, keys } = fields;
  if (version !== VERSION) {
    throw new PapyraError(
      "FORMAT_UNKNOWN",
      `${name} has version ${JSON.stringify(version)}; this release knows ${VERSION}`,
      { hint: "use the release of Papyra that wrote it" },
    );
  }
  const decoded = new Map(Object.entries(Object(keys)).map(([n, key]) => [Number(n), Buffer.from(String(key), "hex")]));
  const all = [...decoded.values(), Buffer.from(String(names), "hex")];
  if (!decoded.has(number) || !Array.isArray(recipients) || all.some(({ length }) => length !== KEY_BYTES))
    throw damagedKeys(objects, name, "holds no keys for its number: it is another one's file");
  return { number, recipients, names: all.at(-1) as Buffer, keys: decoded };
}
