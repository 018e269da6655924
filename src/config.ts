// papyra.config.{ts,js,mjs,json}: what the tools and the service share about one store. This file is the shape and its
// checks; cli/config.ts finds and loads the file.
import type { FileStoreOptions } from "./backends/file-options.ts";
import type { ObjectStore } from "./backup/objects.ts";
import { PapyraError } from "./errors.ts";
import { type StartupMode, STARTUP_MODES } from "./ops/startup.ts";
import { oneOf, refuseUnknown, text } from "./options.ts";
import type { RedisStoreOptions } from "./redis/options.ts";

/** A directory of backups that are compressed or encrypted; of a bucket: `packed(...)` of papyra/backup. */
export interface BackupsConfig {
  readonly directory: string;
  readonly compression?: "brotli" | "none";
  /** Public age keys: `age1...`. */
  readonly recipients?: readonly string[];
  /** A file with secret age keys, as age-keygen writes it. */
  readonly identityFile?: string;
}

/** What a configuration file exports by default. Paths in it are relative to the file itself. */
export interface PapyraConfig {
  /** The directory of the store. Default `persistence` in the current directory. */
  readonly path?: string;
  /** The other options of the file store, so that the tools name the policy that the service really has. */
  readonly store?: Omit<FileStoreOptions, "path">;
  /** A Redis store, instead of `path` and `store`. */
  readonly redis?: RedisStoreOptions;
  readonly startup?: {
    /** What `startup-check` and `doctor run` do when no mode is given. Default "fail_on_anomaly". */
    readonly mode?: StartupMode;
    /** Where recovery keeps damaged bytes. With it, recovery never only removes unless told to. */
    readonly quarantineDir?: string;
  };
  /** Where backups are kept: a directory, or an object store such as a bucket. Default `backups`. */
  readonly backups?: string | ObjectStore | BackupsConfig;
  /** What `papyra doctor checklist` cannot see by itself. */
  readonly checklist?: {
    /** The file that says how a restore is done, for people. */
    readonly restoreProcedure?: string;
  };
  /** The definitions of the persistent actors, for `papyra replay`, and for drills to fold. */
  readonly actors?: readonly object[];
}

/**
 * Gives the configuration its type, and nothing else.
 *
 * @example
 * ```ts
 * import { defineConfig } from "papyra";
 * const config = defineConfig({ path: "./persistence", startup: { mode: "fail_on_anomaly", quarantineDir: "./quarantine" } });
 * if (config.path !== "./persistence") throw new Error("the configuration is passed on as it is");
 * ```
 */
export function defineConfig<const C extends PapyraConfig>(config: C): C {
  return config;
}

const KNOWN = ["path", "store", "redis", "startup", "backups", "checklist", "actors"] as const;

/** Checks what a configuration file exported. Rejects with OPTION_INVALID; unknown keys are refused. */
export function checkConfig(value: unknown): PapyraConfig {
  if (!isObject(value)) {
    throw new PapyraError("OPTION_INVALID", `the configuration must be an object, not ${describe(value)}`, {
      hint: "export default defineConfig({ ... })",
    });
  }
  refuseUnknown("the configuration", value, KNOWN);
  const { path, store, redis, startup, backups, checklist, actors } = value;
  if (path !== undefined) text("path", path);
  if (store !== undefined) {
    if (!isObject(store)) throw wrong("store", store, "an object");
    if ("path" in store) throw wrong("store.path", store.path, "left out: the path of the store is `path`");
  }
  if (redis !== undefined) {
    if (!isObject(redis)) throw wrong("redis", redis, "an object");
    if (path !== undefined || store !== undefined) throw wrong("redis", redis, "left out where `path` or `store` is");
  }
  if (startup !== undefined) {
    if (!isObject(startup)) throw wrong("startup", startup, "an object");
    refuseUnknown("`startup`", startup, ["mode", "quarantineDir"]);
    oneOf("startup.mode", startup.mode, "fail_on_anomaly", STARTUP_MODES);
    if (startup.quarantineDir !== undefined) text("startup.quarantineDir", startup.quarantineDir);
  }
  checkBackups(backups);
  if (checklist !== undefined) {
    if (!isObject(checklist)) throw wrong("checklist", checklist, "an object");
    refuseUnknown("`checklist`", checklist, ["restoreProcedure"]);
    if (checklist.restoreProcedure !== undefined) text("checklist.restoreProcedure", checklist.restoreProcedure);
  }
  if (actors !== undefined && !(Array.isArray(actors) && actors.every((actor) => typeof actor === "object" && actor))) {
    throw wrong("actors", actors, "a list of actor definitions");
  }
  return value as PapyraConfig;
}

function checkBackups(backups: unknown): void {
  if (backups === undefined) return;
  if (typeof backups === "string") return void text("backups", backups);
  if (!isObject(backups)) throw wrong("backups", backups, "a directory, an object store or an object with `directory`");
  if (typeof backups.hold === "function") return;
  refuseUnknown("`backups`", backups, ["directory", "compression", "recipients", "identityFile"]);
  text("backups.directory", backups.directory);
  oneOf("backups.compression", backups.compression, "none", ["brotli", "none"]);
  if (backups.identityFile !== undefined) text("backups.identityFile", backups.identityFile);
  if (backups.recipients !== undefined && !Array.isArray(backups.recipients))
    throw wrong("backups.recipients", backups.recipients, "a list of age recipients");
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function describe(value: unknown): string {
  return Array.isArray(value) ? "a list" : value === null || value === undefined ? String(value) : `a ${typeof value}`;
}

function wrong(name: string, value: unknown, wanted: string): PapyraError {
  return new PapyraError("OPTION_INVALID", `option \`${name}\` must be ${wanted}, not ${describe(value)}`, {
    details: { option: name },
  });
}
