// A repository in a bucket of S3, or of a server that speaks its language.
import { checkObjectName, isObjectName } from "../backup/object-names.ts";
import {
  type Hold,
  type HoldMode,
  OBJECT_BYTES_MAX,
  type ObjectInfo,
  type ObjectStart,
  type ObjectStore,
} from "../backup/objects.ts";
import type { Env } from "../env/env.ts";
import { PapyraError } from "../errors.ts";
import { takeHold } from "./holds.ts";
import { resolveS3Options, type S3ObjectLock, type S3ObjectsOptions } from "./options.ts";
import { Place } from "./place.ts";

export class S3Objects implements ObjectStore {
  readonly env: Env;
  readonly location: string;
  readonly #place: Place;
  readonly #lock: S3ObjectLock | undefined;
  readonly #leaseMs: number;

  constructor(env: Env, options: S3ObjectsOptions) {
    const resolved = resolveS3Options(options);
    this.env = env;
    this.location = resolved.location;
    this.#place = new Place(env, resolved);
    this.#lock = resolved.objectLock;
    this.#leaseMs = resolved.timing.leaseMs;
  }

  async put(name: string, bytes: Uint8Array, { ifAbsent = false }: { ifAbsent?: boolean } = {}): Promise<boolean> {
    checkObjectName(name);
    if (bytes.length > OBJECT_BYTES_MAX)
      throw new PapyraError("INTERNAL", `${name} has ${bytes.length} bytes, more than ${OBJECT_BYTES_MAX}`);
    return this.#place.put(this.#place.begin(`store ${name}`), name, bytes, { ifAbsent, lock: this.#lock });
  }

  async get(name: string): Promise<Buffer | undefined> {
    checkObjectName(name);
    return this.#place.get(this.#place.begin(`read ${name}`), name);
  }

  async stat(name: string): Promise<ObjectInfo | undefined> {
    checkObjectName(name);
    const head = await this.#place.head(this.#place.begin(`look at ${name}`), name);
    return head === undefined ? undefined : { name, bytes: head.bytes, storedMs: head.storedMs };
  }

  async start(name: string, bytesMax: number): Promise<ObjectStart | undefined> {
    checkObjectName(name);
    return this.#place.start(this.#place.begin(`read the start of ${name}`), name, bytesMax);
  }

  /** Each page has a deadline of its own: there may be any number of them. */
  async *list(prefix: string): AsyncGenerator<ObjectInfo> {
    const begin = () => this.#place.begin(`list ${prefix}*`);
    for await (const object of this.#place.list(begin, prefix)) if (isObjectName(object.name)) yield object;
  }

  async remove(name: string): Promise<void> {
    checkObjectName(name);
    return this.#place.remove(this.#place.begin(`remove ${name}`), name);
  }

  hold(mode: HoldMode, purpose: string): Promise<Hold> {
    return takeHold(this.#place, { mode, purpose, leaseMs: this.#leaseMs });
  }
}
