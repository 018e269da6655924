// An object store around another one: what goes in is compressed and encrypted, what comes out is as it was. Objects say
// themselves how they are packed, so that reading needs no option but an identity, and a repository may be mixed.
import type { Env } from "../env/env.ts";
import { PapyraError } from "../errors.ts";
import { oneOf, refuseUnknown } from "../options.ts";
import { hideHash, revealHash } from "./cipher.ts";
import {
  currentKey,
  findKeyFiles,
  keyFileName,
  type Keyring,
  makeKeyring,
  openKeyring,
  putChecksum,
} from "./keyring.ts";
import type { Hold, HoldMode, ObjectInfo, ObjectStart, ObjectStore } from "./objects.ts";
import { type Compression, COMPRESSIONS, HEADER_BYTES, pack, plainBytesOf, readHeader, unpack } from "./pack.ts";

export interface PackedOptions {
  /** Of what is stored from now on. Default: none. */
  readonly compression?: Compression | undefined;
  /** Public age keys of all who may read the repository; with them it is encrypted from the first object that is stored. */
  readonly recipients?: readonly string[] | undefined;
  /** Secret age keys; one that belongs to a recipient is enough. An encrypted repository is neither read nor written without. */
  readonly identities?: readonly string[] | undefined;
}

type Checked = Required<{ readonly [K in keyof PackedOptions]: NonNullable<PackedOptions[K]> }>;

/** Known across two loaded copies of the package: a configuration may bring its own. */
const PACKED = Symbol.for("papyra.packed");
const PART = /^(segments\/[a-z_]+\/)([0-9a-f]{64})\.part$/;
const HIDDEN = /^(segments\/[a-z_]+\/)([0-9a-f]{64})\.enc$/;

/** What is packed already gets the options that are given, besides those that it has. Rejects with OPTION_INVALID. */
export function packObjects(objects: ObjectStore, options: PackedOptions = {}): ObjectStore {
  checkPackOptions(options);
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  if (isPacked(objects) && Object.keys(given).length === 0) return objects;
  const already = unpacked(objects);
  return new PackedObjects(already.objects, { ...already.options, ...given });
}

/** The place itself, and how what is around it packs. */
export function unpacked(objects: ObjectStore): Packed[typeof PACKED] {
  return isPacked(objects) ? objects[PACKED] : { objects, options: {} };
}

interface Packed extends ObjectStore {
  readonly [PACKED]: { readonly objects: ObjectStore; readonly options: PackedOptions };
}

function isPacked(objects: ObjectStore): objects is Packed {
  return PACKED in objects;
}

/** Rejects with OPTION_INVALID, never showing an identity. */
export function checkPackOptions(options: PackedOptions): Checked {
  refuseUnknown("packed()", options, ["compression", "recipients", "identities"]);
  const { recipients = [], identities = [] } = options;
  for (const [name, list, start] of [
    ["recipients", recipients, "age1"],
    ["identities", identities, "AGE-SECRET-KEY-"],
  ] as const) {
    const fine = Array.isArray(list) && list.every((one) => typeof one === "string" && one.startsWith(start));
    if (!fine)
      throw new PapyraError("OPTION_INVALID", `option \`${name}\` must be a list of texts that begin with ${start}`);
  }
  return { compression: oneOf("compression", options.compression, "none", COMPRESSIONS), recipients, identities };
}

export function sameRecipients(some: readonly string[], others: readonly string[]): boolean {
  return new Set([...some, ...others]).size === new Set(some).size && new Set(others).size === new Set(some).size;
}

class PackedObjects implements Packed {
  readonly location: string;
  readonly env: Env;
  readonly #objects: ObjectStore;
  readonly #options: Checked;
  #ring: Promise<Keyring | undefined> | undefined;
  /** A crash has left a key file without it; who writes anyway mends that. */
  #lacksChecksum = false;

  constructor(objects: ObjectStore, options: PackedOptions) {
    this.location = objects.location;
    this.env = objects.env;
    this.#objects = objects;
    this.#options = checkPackOptions(options);
  }

  /** A getter, so that nobody who prints this object prints the identities. */
  get [PACKED](): Packed[typeof PACKED] {
    return { objects: this.#objects, options: this.#options };
  }

  async put(name: string, bytes: Uint8Array, options?: { readonly ifAbsent?: boolean }): Promise<boolean> {
    const ring = await this.#ringForWriting();
    const key = ring === undefined ? undefined : currentKey(ring);
    return this.#objects.put(hidden(ring, name), await pack(name, bytes, this.#options.compression, key), options);
  }

  async get(name: string): Promise<Buffer | undefined> {
    for (const at of await this.#places(name)) {
      const stored = await this.#objects.get(at);
      if (stored !== undefined) return this.#unpack(name, stored);
    }
    return undefined;
  }

  async #unpack(name: string, stored: Buffer): Promise<Buffer> {
    const header = readHeader(name, stored);
    if (header === "plain") return stored;
    if (header === "damaged") throw this.#damaged(name);
    const key = header.key === undefined ? undefined : await this.#key(name, header.key);
    const plain = await unpack(name, header, stored, key);
    if (plain === undefined) throw this.#damaged(name);
    return plain;
  }

  /** With the plain size; the key is needed for the name of a part alone. */
  async stat(name: string): Promise<ObjectInfo | undefined> {
    for (const at of await this.#places(name)) {
      const start = await this.#start(at);
      if (start === undefined) continue;
      const { info, bytes } = start;
      return { name, bytes: plainBytesOf(name, bytes, info.bytes), storedMs: info.storedMs };
    }
    return undefined;
  }

  async #start(at: string): Promise<ObjectStart | undefined> {
    if (this.#objects.start !== undefined) return this.#objects.start(at, HEADER_BYTES);
    const info = await this.#objects.stat(at);
    const bytes = info === undefined ? undefined : await this.#objects.get(at);
    return info === undefined || bytes === undefined ? undefined : { info, bytes };
  }

  /** `bytes` are those that an object takes in its place: the plain sizes would cost one look at each. */
  async *list(prefix: string): AsyncGenerator<ObjectInfo> {
    const parts = prefix.startsWith("segments/") || "segments/".startsWith(prefix);
    const ring = parts ? await this.#keyring() : undefined;
    if (ring === undefined) {
      yield* this.#objects.list(prefix);
      return;
    }
    const found = new Map<string, ObjectInfo>();
    for await (const info of this.#objects.list(prefix.slice(0, prefix.lastIndexOf("/") + 1))) {
      const name = revealed(ring, info.name);
      if (name.startsWith(prefix)) found.set(name, { ...info, name });
    }
    yield* [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async remove(name: string): Promise<void> {
    for (const at of await this.#places(name)) await this.#objects.remove(at);
  }

  /** Whoever works anew asks for the keys anew: they may have been rotated. */
  async hold(mode: HoldMode, purpose: string): Promise<Hold> {
    const hold = await this.#objects.hold(mode, purpose);
    this.#ring = undefined;
    return hold;
  }

  /** Where an object may be: a part under its hidden name, or, from before the repository was encrypted, under its own. */
  async #places(name: string): Promise<readonly string[]> {
    const at = PART.test(name) ? hidden(await this.#keyring(), name) : name;
    return at === name ? [name] : [at, name];
  }

  async #key(name: string, number: number): Promise<Buffer> {
    let key = (await this.#keyring())?.keys.get(number);
    if (key === undefined) {
      this.#ring = undefined; // it was rotated since
      key = (await this.#keyring())?.keys.get(number);
    }
    if (key !== undefined) return key;
    throw new PapyraError("BACKUP_DAMAGED", `${name} in ${this.location} is encrypted, and its key ${number} is gone`, {
      hint: `put your copy of ${keyFileName(number)}, or of a later one, back`,
      details: { object: keyFileName(number) },
    });
  }

  #keyring(): Promise<Keyring | undefined> {
    this.#ring ??= this.#openRing();
    this.#ring.catch(() => (this.#ring = undefined)); // the next one asks again
    return this.#ring;
  }

  async #openRing(): Promise<Keyring | undefined> {
    const files = await findKeyFiles(this.#objects);
    if (files.newest === 0) return undefined;
    this.#lacksChecksum = !files.checksum;
    return openKeyring(this.#objects, files, this.#options.identities);
  }

  /** An encrypted repository is never continued unencrypted, nor one for others than were asked for. */
  async #ringForWriting(): Promise<Keyring | undefined> {
    const { recipients, identities } = this.#options;
    const ring = await this.#keyring();
    if (ring === undefined) {
      if (recipients.length > 0) return this.#firstRing();
      if (identities.length === 0) return undefined;
      throw new PapyraError("OPTION_INVALID", `an identity was given, and ${this.location} is not encrypted`, {
        hint: "check the place; to encrypt what is stored from now on: --age-recipient age1...; else leave the identity out",
      });
    }
    if (recipients.length === 0 || sameRecipients(ring.recipients, recipients)) {
      if (this.#lacksChecksum) await putChecksum(this.#objects, ring.number);
      this.#lacksChecksum = false;
      return ring;
    }
    throw new PapyraError("OPTION_INVALID", `${this.location} is encrypted for others: ${ring.recipients.join(", ")}`, {
      hint: "to change that: papyra backup rotate-keys --age-recipient age1...; else leave the recipients out",
    });
  }

  async #firstRing(): Promise<Keyring | undefined> {
    const { recipients, identities } = this.#options;
    const made = await makeKeyring(this.#objects, recipients, undefined, identities);
    this.#ring = made === undefined ? undefined : Promise.resolve(made);
    return made ?? this.#ringForWriting(); // somebody else was first
  }

  #damaged(name: string): PapyraError {
    return new PapyraError("BACKUP_DAMAGED", `${name} in ${this.location} is not what was stored`, {
      hint: "papyra backup verify says what else is damaged; restore another backup: papyra backup list",
      details: { object: name },
    });
  }
}

function hidden(ring: Keyring | undefined, name: string): string {
  const [, dir, sha256] = (ring === undefined ? null : PART.exec(name)) ?? [];
  return ring === undefined || sha256 === undefined ? name : `${dir}${hideHash(ring.names, sha256)}.enc`;
}

function revealed(ring: Keyring, name: string): string {
  const [, dir, hash] = HIDDEN.exec(name) ?? [];
  return hash === undefined ? name : `${dir}${revealHash(ring.names, hash)}.part`;
}
