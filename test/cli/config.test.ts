// The configuration: where it is looked for, what it may say, what beats what, and that it never stands in the way.
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { build } from "./build.ts";
import { flipBit, gone, makeStore, papyra, papyraJson, scratch } from "./helpers.ts";

const dir = scratch();
afterAll(() => gone(dir));

let projects = 0;
/** A project with these files, a store in `data` and a place to stand in, two levels down. */
async function project(
  files: Readonly<Record<string, string>>,
  root: ".git" | "package.json" | "none" = ".git",
): Promise<{ at: string; deep: string }> {
  const at = join(dir, `project-${++projects}`);
  const deep = join(at, "a", "b");
  mkdirSync(deep, { recursive: true });
  if (root === ".git") mkdirSync(join(at, ".git"));
  if (root === "package.json") writeFileSync(join(at, "package.json"), "{}");
  for (const [name, text] of Object.entries(files)) writeFileSync(join(at, name), text);
  await makeStore(join(at, "data"), 3);
  return { at, deep };
}

const pathOf = async (cwd: string, argv: string[] = [], env: Record<string, string> = {}): Promise<unknown> => {
  const { report, error } = (await papyraJson(["persistence", "scan", ...argv], { cwd, env })) as {
    report?: { path: string };
    error?: { code: string };
  };
  return report?.path ?? error?.code;
};

describe("where it is", () => {
  test.each([".git", "package.json"] as const)(
    "upwards to the root of the project (%s); its paths are its own",
    async (root) => {
      const { at, deep } = await project({ "papyra.config.json": '{"path":"data"}' }, root);
      expect(await pathOf(deep)).toBe(join(at, "data"));
      expect(await pathOf(at)).toBe(join(at, "data"));
    },
  );

  test("not above it, and outside a project only in the current directory: a configuration is code", async () => {
    const { at, deep } = await project({ "papyra.config.json": '{"path":"data"}' }, "none");
    expect(await pathOf(deep)).toBe("STORE_NOT_FOUND");
    expect(await pathOf(at)).toBe(join(at, "data"));
    mkdirSync(join(deep, ".git"));
    expect(await pathOf(deep)).toBe("STORE_NOT_FOUND");
  });

  test("flag beats environment beats configuration beats ./persistence", async () => {
    const { at } = await project({ "papyra.config.json": '{"path":"data"}' });
    const [flag, env] = [await makeStore(join(at, "flag"), 1), await makeStore(join(at, "env"), 1)];
    expect(await pathOf(at, ["--path", "flag"], { PAPYRA_PATH: "env" })).toBe(flag);
    expect(await pathOf(at, [], { PAPYRA_PATH: "env" })).toBe(env);
    expect(await pathOf(at, [], { PAPYRA_PATH: "" })).toBe(join(at, "data"));
    const other = join(dir, "no-config");
    mkdirSync(other);
    expect(await pathOf(other)).toBe("STORE_NOT_FOUND");
    await makeStore(join(other, "persistence"), 1);
    expect(await pathOf(other)).toBe(join(other, "persistence"));
    expect(await pathOf(other, ["--config", join(at, "papyra.config.json")])).toBe(join(at, "data"));
  });
});

describe("what is wrong with it: 64, with file, cause and next step", () => {
  test.each<[string, string, string | RegExp]>([
    ["papyra.config.json", '{"path":', /cannot be loaded/],
    ["papyra.config.json", "[]", "must be an object, not a list"],
    ["papyra.config.json", "null", "must be an object, not null"],
    ["papyra.config.json", '{"pth":"x"}', "knows no option `pth`"],
    ["papyra.config.json", '{"path":5}', "`path` must be a string"],
    ["papyra.config.json", '{"startup":{"mode":"fail"}}', "one of ignore, scan_only, fail_on_anomaly, recover"],
    ["papyra.config.json", '{"startup":{"modus":"ignore"}}', "knows no option `modus`"],
    ["papyra.config.json", '{"store":{"path":"x"}}', "`store.path`"],
    ["papyra.config.json", '{"actors":{}}', "a list of actor definitions"],
    ["papyra.config.mjs", 'throw new Error("no database");', "no database"],
    ["papyra.config.mjs", "export const path = 1;", "no default export"],
    ["papyra.config.js", "import nothing from './nowhere.js'; export default {};", /cannot be loaded/],
  ])("%s: %s", async (name, text, message) => {
    const { at } = await project({ [name]: text });
    const { exit, stderr } = await papyra(["persistence", "scan"], { cwd: at });
    expect(exit).toBe(64);
    expect(stderr).toContain(join(at, name));
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/\(CONFIG_INVALID\)\nNext: mend the file/);
    expect(
      (await papyra(["persistence", "scan", "--path", join(at, "data")], { cwd: at })).exit,
      "--path does not need it",
    ).toBe(0);
  });

  test("two of them", async () => {
    const { at } = await project({ "papyra.config.json": "{}", "papyra.config.mjs": "export default {}" });
    expect((await papyra(["persistence", "scan"], { cwd: at })).stderr).toContain(
      "papyra.config.mjs and papyra.config.json are both there",
    );
  });
});

describe("what it says", () => {
  test("the start-up mode and the quarantine, which flags beat", async () => {
    const { at } = await project({
      "papyra.config.json": '{"path":"data","startup":{"mode":"scan_only","quarantineDir":"kept"}}',
    });
    flipBit(join(at, "data", "events.ndjson"));
    expect((await papyra(["persistence", "startup-check"], { cwd: at })).exit).toBe(0);
    expect((await papyra(["persistence", "startup-check", "--mode", "fail_on_anomaly"], { cwd: at })).exit).toBe(4);
    expect((await papyra(["persistence", "recover", "--mode", "ignore"], { cwd: at })).exit).toBe(3);
    expect(await papyraJson(["persistence", "recover"], { cwd: join(at, "a") })).toMatchObject({
      exit: 0,
      report: { mode: "quarantine" },
    });
    expect(readdirSync(join(at, "kept"))).toHaveLength(1);
  });

  test("the policy of the store, which doctor prints", async () => {
    const { at } = await project({
      "papyra.config.json": '{"path":"data","store":{"durability":"interval","intervalMs":250}}',
    });
    const { stdout } = await papyra(["doctor", "run"], { cwd: at });
    expect(stdout).toContain(
      `may lose the last 250 ms of acknowledged records; mark: lagging (by ${join(at, "papyra.config.json")})`,
    );
  });
});

describe("TypeScript, with the package as a user has it", () => {
  const built = build();
  const at = join(dir, "typescript");
  beforeAll(async () => {
    mkdirSync(join(at, "node_modules"), { recursive: true });
    symlinkSync(built.root, join(at, "node_modules", "papyra"));
    writeFileSync(join(at, "package.json"), '{"type":"module"}');
    writeFileSync(join(at, "where.ts"), 'export enum Where { Store = "data" }\n');
    writeFileSync(
      join(at, "papyra.config.ts"),
      `import { persistentActor } from "papyra";
       import { Where } from "./where.ts";
       interface State { readonly balance: number }
       const account = persistentActor(
         { type: "account", initial: (): State => ({ balance: 0 }), events: { deposited: (state, e: { amount: number }) => ({ balance: state.balance + e.amount }) } },
         { balance: (state, _: object, ctx) => ctx.reply(state.balance) },
       );
       export default { path: Where.Store as string, actors: [account] };`,
    );
    await makeStore(join(at, "data"), 1);
  });
  afterAll(() => built.remove());

  const run = (...argv: string[]): { exit: number | null; document: Record<string, unknown> } => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [built.bin, ...argv, "--json"], {
      cwd: at,
      encoding: "utf8",
    });
    if (stdout === "") throw new Error(stderr);
    return { exit: status, document: JSON.parse(stdout) as Record<string, unknown> };
  };

  test("types, enums and imports work, and the definitions in it are those that replay folds with", () => {
    const { exit, document } = run("replay", "--verify", "--states");
    expect(document).toMatchObject({
      ok: true,
      report: { actors: [{ persistenceId: "account/42", revision: 1, state: { balance: 5 } }], verified: { folds: 2 } },
    });
    expect(exit).toBe(0);
    expect(run("replay", "--until", "0").document).toMatchObject({ report: { events: 0 } });
    expect(run("replay", "--until", "2000-01-01").document).toMatchObject({ report: { events: 0 } });
    expect(run("replay").document).toMatchObject({
      report: { actors: [{ persistenceId: "account/42", digest: expect.stringMatching(/^[0-9a-f]{64}$/) }] },
    });
  });

  test("an error in it names the file", () => {
    writeFileSync(join(at, "broken.config.ts"), "const a: number = ; export default {};");
    const { exit, document } = run("persistence", "scan", "--config", "broken.config.ts");
    expect(exit).toBe(64);
    expect(document).toMatchObject({
      error: { code: "CONFIG_INVALID", message: expect.stringContaining("broken.config.ts") },
    });
  });
});
