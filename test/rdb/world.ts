// What the tests of a server's own files share: a real server, a store in it, a repository, and how scratch servers are started.
import { mkdtempSync, readdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { directoryObjects } from "../../src/backup/directory.ts";
import { backups } from "../../src/backup/index.ts";
import type { Env, Fs } from "../../src/env/env.ts";
import { nodeEnv, nodeVolume, startProgram } from "../../src/env/node.ts";
import type { Loading } from "../../src/rdb/load.ts";
import { findPrograms, type ServerWorld } from "../../src/rdb/world.ts";
import { redisStore } from "../../src/redis/index.ts";
import { RedisServer } from "../redis/server.ts";
import { uniqueSystem } from "../redis/subject.ts";

export class RdbWorld {
  readonly server: RedisServer;
  readonly place: string = mkdtempSync(join(tmpdir(), "papyra-rdb-"));
  #scratches = 0;

  private constructor(server: RedisServer) {
    this.server = server;
  }

  static async start(...settings: readonly string[]): Promise<RdbWorld> {
    return new RdbWorld(await RedisServer.start(...settings));
  }

  async stop(): Promise<void> {
    await this.server.stop();
    await rm(this.place, { recursive: true, force: true });
  }

  /** A store of its own, with a repository of its own. */
  system(more: object = {}) {
    const systemId = uniqueSystem();
    const options = { url: this.server.url, systemId, segmentBytes: 4096, ...more };
    const repository = join(this.place, `${systemId}-backups`);
    return {
      options,
      key: `papyra:${systemId}:events`,
      store: redisStore(options),
      repository: backups(repository),
      objects: directoryObjects(nodeEnv, repository),
      target: join(this.place, `${systemId}-restored`),
    };
  }

  /** `fs`: what of the file system is another one. */
  loading(fs: Partial<Fs> = {}, server?: string): Loading {
    const env: Env = { ...nodeEnv, fs: { ...nodeEnv.fs, ...fs } };
    const world: ServerWorld = { env, volume: nodeVolume, start: startProgram };
    const named = server ?? process.env.PAPYRA_REDIS_SERVER;
    return {
      world,
      programs: () => findPrograms(nodeEnv.fs, named, process.env.PATH ?? ""),
      scratch: join(this.place, `scratch-${++this.#scratches}`),
    };
  }

  /** What is left of scratch directories. */
  scratches(): string[] {
    return readdirSync(this.place).filter((name) => name.startsWith("scratch-"));
  }
}
