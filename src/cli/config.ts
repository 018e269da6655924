// Finds and loads papyra.config.{ts,js,mjs,json}. Read only when a command needs something that was not given, so that
// a broken configuration never stands between an operator and a scan by --path.
import { dirname, extname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { checkConfig, type PapyraConfig } from "../config.ts";
import { readSmall } from "../env/durable.ts";
import type { Fs } from "../env/env.ts";
import { ensureError, isPapyraError, PapyraError } from "../errors.ts";

const NAMES = ["papyra.config.ts", "papyra.config.js", "papyra.config.mjs", "papyra.config.json"];

export interface LoadedConfig {
  readonly config: PapyraConfig;
  /** Where it came from; undefined when there is none. Paths in it are relative to its directory. */
  readonly file: string | undefined;
}

/** Loads the file named by --config, or the nearest one. Rejects with CONFIG_INVALID. */
export async function loadConfig(fs: Fs, cwd: string, named: string | undefined): Promise<LoadedConfig> {
  const file = named === undefined ? await findConfig(fs, cwd) : resolve(cwd, named);
  if (file === undefined) return { config: {}, file: undefined };
  if ((await fs.stat(file))?.kind !== "file") throw invalid(file, "there is no such file", undefined);
  let exported: unknown;
  try {
    exported = await importConfig(fs, file);
  } catch (thrown) {
    const cause = ensureError(thrown);
    throw invalid(file, `it cannot be loaded: ${cause.message}`, cause);
  }
  try {
    return { config: checkConfig(exported), file };
  } catch (cause) {
    if (!isPapyraError(cause, "OPTION_INVALID")) throw cause;
    throw invalid(file, cause.hint === undefined ? cause.message : `${cause.message}; ${cause.hint}`, cause);
  }
}

/**
 * The nearest configuration from `cwd` up to the root of the project: the directory with `.git`, else the nearest one
 * with a package.json. Outside a project only `cwd` itself is looked at: a configuration is code, and what lies further
 * up may belong to anybody.
 */
async function findConfig(fs: Fs, cwd: string): Promise<string | undefined> {
  const chain: string[] = [];
  let packageRoot = 0;
  let gitRoot = 0;
  for (let dir = resolve(cwd); ; dir = dirname(dir)) {
    chain.push(dir);
    if (packageRoot === 0 && (await exists(fs, join(dir, "package.json")))) packageRoot = chain.length;
    if (await exists(fs, join(dir, ".git"))) gitRoot = chain.length;
    if (gitRoot > 0 || dirname(dir) === dir) break;
  }
  for (const dir of chain.slice(0, gitRoot || packageRoot || 1)) {
    const found: string[] = [];
    for (const name of NAMES) if (await exists(fs, join(dir, name))) found.push(name);
    if (found.length > 1)
      throw invalid(join(dir, found[0] as string), `${found.join(" and ")} are both there`, undefined);
    if (found[0] !== undefined) return join(dir, found[0]);
  }
  return undefined;
}

async function exists(fs: Fs, path: string): Promise<boolean> {
  try {
    return (await fs.stat(path)) !== undefined;
  } catch {
    return false; // a directory that may not be looked into holds no configuration for us
  }
}

async function importConfig(fs: Fs, file: string): Promise<unknown> {
  const extension = extname(file);
  if (extension === ".json") return JSON.parse((await readSmall(fs, file)).toString("utf8"));
  const href = pathToFileURL(file).href;
  try {
    return await defaultOf(await import(href));
  } catch (error) {
    // What Node cannot strip of TypeScript itself (all of it in Node 20; enums later) goes through jiti.
    const code = (error as { code?: unknown } | null)?.code;
    const typescript = code === "ERR_UNKNOWN_FILE_EXTENSION" || code === "ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX";
    if (!typescript || extension !== ".ts") throw error;
  }
  const { createJiti } = await import("jiti");
  const jiti = createJiti(href, { fsCache: false });
  return defaultOf(await jiti.import(file));
}

async function defaultOf(module: unknown): Promise<unknown> {
  const value = (module as { default?: unknown }).default;
  if (value === undefined) throw new Error("it has no default export");
  return value;
}

function invalid(file: string, what: string, cause: Error | undefined): PapyraError {
  return new PapyraError("CONFIG_INVALID", `the configuration ${file} cannot be used: ${what}`, {
    ...(cause === undefined ? {} : { cause }),
    hint: "mend the file, or say on the command line what it would have said (--path, --mode)",
    details: { file },
  });
}
