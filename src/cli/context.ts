// What a command's handler is given: the options as typed, and where flags, environment, configuration and defaults
// are joined, in this order. The configuration is loaded only when something asks for it.
import { dirname, resolve } from "node:path";
import { cores, nodeEnv, nodeVolume, startNode, startProgram } from "../env/node.ts";
import type { Backend } from "../backends/backend.ts";
import { directoryObjects } from "../backup/directory.ts";
import type { ObjectStore } from "../backup/objects.ts";
import type { PapyraConfig } from "../config.ts";
import { packObjects } from "../backup/packed.ts";
import type { Env } from "../env/env.ts";
import { PapyraError } from "../errors.ts";
import type { ServerWorld } from "../rdb/world.ts";
import type { SelftestWorld } from "../ops/selftest.ts";
import type { StartupMode } from "../ops/startup.ts";
import { type LoadedConfig, loadConfig } from "./config.ts";
import type { CliIo, Paint } from "./io.ts";
import type { RedisStoreOptions } from "../redis/options.ts";
import { type Opened, openPath } from "./open.ts";
import { isBucket, openBucket } from "./open-bucket.ts";
import { namedRedis, openRedis } from "./open-redis.ts";
import { configuredPacking, givenPacking } from "./packing.ts";
import { NO_PROGRESS, type Progress, showProgress } from "./progress.ts";

/** Options as commander leaves them. */
export interface RawOptions {
  readonly path?: string;
  readonly config?: string;
  readonly json?: boolean;
  readonly progress?: boolean;
  readonly [name: string]: unknown;
}

/** What a command came to. */
export interface Outcome {
  readonly exit: number;
  readonly verdict: string;
  /** Printed by --json as it is. */
  readonly report: object;
  /** What people read. */
  text(paint: Paint): string;
}

export type Handler = (context: Context) => Promise<Outcome>;

const THREADS = 8;
const DEFAULT_PATH = "persistence";
const DEFAULT_REPOSITORY = "backups";

export class Context {
  readonly options: RawOptions;
  readonly io: CliIo;
  readonly env: Env = nodeEnv;
  #config: Promise<LoadedConfig> | undefined;
  #progress: Progress = NO_PROGRESS;

  constructor(io: CliIo, options: RawOptions) {
    this.io = io;
    this.options = options;
  }

  get signal(): AbortSignal {
    return this.io.signal;
  }

  /** How many threads read a store. No more than a few unless it is asked for: the machine may have other things to do. */
  get threads(): number {
    return (this.options as { threads?: number }).threads ?? Math.min(THREADS, cores());
  }

  /** The world of a self-test: it measures the file system and starts processes. */
  get selftestWorld(): SelftestWorld {
    const { workerScript } = this.io;
    return { env: this.env, volume: nodeVolume, start: (task, args) => startNode(workerScript, [task, ...args]) };
  }

  /** The world of who starts servers of Redis. */
  get serverWorld(): ServerWorld {
    return { env: this.env, volume: nodeVolume, start: startProgram };
  }

  config(): Promise<LoadedConfig> {
    this.#config ??= loadConfig(this.env.fs, this.io.cwd, this.options.config);
    return this.#config;
  }

  /** An option that was given, or undefined. */
  given(name: string): string | undefined {
    const value = this.options[name];
    return typeof value === "string" ? value : undefined;
  }

  /** Whether the command line or the environment names the path. */
  get namesPath(): boolean {
    return this.#namedPath() !== undefined;
  }

  #namedPath(): string | undefined {
    return this.options.path ?? (this.io.env.PAPYRA_PATH || undefined);
  }

  async path(): Promise<string> {
    const named = this.#namedPath();
    if (named === "")
      throw new PapyraError("OPTION_INVALID", "--path is empty", { hint: "leave it out, or name a path" });
    if (named !== undefined) return resolve(this.io.cwd, named);
    const { config, file } = await this.config();
    if (config.path !== undefined && file !== undefined) return resolve(dirname(file), config.path);
    return resolve(this.io.cwd, DEFAULT_PATH);
  }

  /**
   * As "store", a file of a store stands for the whole store. With "policy", the backend has the store options of the
   * configuration; who only reads does not need them.
   */
  async open(as: "log" | "store", policy: "policy" | "default" = "default"): Promise<Opened> {
    const redis = await this.#redis();
    if (redis !== undefined) return openRedis(this.env, redis);
    const path = await this.path();
    const options = policy === "policy" ? ((await this.config()).config.store ?? {}) : {};
    const opened = await openPath(this.env, path, options);
    if (as === "log" || opened.log === undefined) return opened;
    return { ...opened, log: undefined, path: opened.backend.location };
  }

  /** For what there is in Redis alone. */
  async redis(what: string = "consumer groups"): Promise<RedisStoreOptions> {
    const named = await this.#redis();
    if (named !== undefined) return named;
    throw new PapyraError("OPTION_INVALID", `${what} are of stores in Redis, and this one is in files`, {
      hint: "name a store in Redis: --redis redis://HOST:PORT --system ID",
    });
  }

  /** The place in Redis that the command line names for a restore; a configuration names none. */
  async restoreTarget(): Promise<Backend> {
    const named = this.#namedRedis();
    if (named !== undefined) return (await openRedis(this.env, named)).backend;
    throw new PapyraError("OPTION_INVALID", "a restore needs a place", {
      hint: "name a directory with --target <dir>, or a place in Redis: --redis redis://HOST:PORT --system ID",
    });
  }

  /** By the flags, or by the configuration when nothing else names a store. */
  async #redis(): Promise<RedisStoreOptions | undefined> {
    const named = this.#namedRedis();
    if (named !== undefined || this.namesPath) return named;
    return (await this.config()).config.redis;
  }

  #namedRedis(): RedisStoreOptions | undefined {
    const [url, prefix, system] = ["redis", "prefix", "system"].map((name) => this.given(name));
    const environment = this.io.env.PAPYRA_REDIS || undefined;
    return namedRedis({ path: this.#namedPath(), url, prefix, system, environment });
  }

  /** Where the backups are: by --repository, PAPYRA_REPOSITORY, the configuration, or `backups`. */
  async repository(): Promise<ObjectStore> {
    const named = this.given("repository") ?? (this.io.env.PAPYRA_REPOSITORY || undefined);
    const packing = await givenPacking(this);
    if (named !== undefined && isBucket(named))
      return packObjects(await openBucket(this.env, named, this.io.env.AWS_ENDPOINT_URL || undefined), packing);
    if (named !== undefined) return packObjects(directoryObjects(this.env, this.resolve(named)), packing);
    const { config, file } = await this.config();
    const { backups = DEFAULT_REPOSITORY } = config;
    if (typeof backups === "object" && "hold" in backups) return packObjects(backups, packing);
    const base = file === undefined ? this.io.cwd : dirname(file);
    const configured = typeof backups === "string" ? { directory: backups } : backups;
    const objects = directoryObjects(this.env, resolve(base, configured.directory));
    return packObjects(packObjects(objects, await configuredPacking(this, configured, base)), packing);
  }

  /** `startup.quarantineDir` of the configuration. */
  configuredQuarantine(): Promise<string | undefined> {
    return this.configuredPath((config) => config.startup?.quarantineDir);
  }

  /** A path of the configuration, which is relative to its file. */
  async configuredPath(of: (config: PapyraConfig) => string | undefined): Promise<string | undefined> {
    const { config, file } = await this.config();
    const named = of(config);
    return named === undefined || file === undefined ? undefined : resolve(dirname(file), named);
  }

  /** The mode and quarantine of `startup-check` and `doctor run`. */
  async startup(): Promise<{ mode: StartupMode; quarantineDir: string | undefined }> {
    const mode =
      (this.given("mode") as StartupMode | undefined) ??
      (await this.config()).config.startup?.mode ??
      "fail_on_anomaly";
    const named = this.given("quarantineDir");
    if (named !== undefined && mode !== "recover") {
      throw new PapyraError("OPTION_INVALID", `--quarantine-dir is for --mode recover; the mode is ${mode}`, {
        hint: "add --mode recover, or leave --quarantine-dir out",
      });
    }
    if (mode !== "recover") return { mode, quarantineDir: undefined };
    return { mode, quarantineDir: named === undefined ? await this.configuredQuarantine() : this.resolve(named) };
  }

  resolve(path: string): string {
    if (path === "") throw new PapyraError("OPTION_INVALID", "a path is empty");
    return resolve(this.io.cwd, path);
  }

  /** Shows progress from now on; the line is gone once `done` is called. */
  progress(what: string, unit: "bytes" | "ms" = "bytes"): (done: number, total: number) => void {
    const { stderr, env } = this.io;
    const wanted = this.options.progress !== false && this.options.json !== true && (env.CI ?? "") === "";
    if (wanted && stderr.isTTY) this.#progress = showProgress(stderr, this.env.clock, what, unit);
    return this.#progress.onProgress;
  }

  done(): void {
    this.#progress.end();
  }
}
