// A plan of a recovery is a file that somebody may have edited: what it says is not believed where that could do harm.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { gone, makeStore, papyra, papyraJson, scratch, tear } from "./helpers.ts";

const dir = scratch();
afterAll(() => gone(dir));

const RECOVER = ["persistence", "recover"];

interface Planned {
  readonly options: Record<string, unknown> & { readonly run: Record<string, unknown> };
}

test.each<[string, (plan: Planned) => unknown]>([
  ["has no id", ({ options }) => ({ options: { ...options, run: undefined } })],
  [
    "has an id that leads elsewhere",
    ({ options }) => ({ options: { ...options, run: { ...options.run, id: "../../x" } } }),
  ],
  ["has a time that is none", ({ options }) => ({ options: { ...options, run: { ...options.run, nowMs: "now" } } })],
  ["has a quarantine that is no place", ({ options }) => ({ options: { ...options, quarantineDir: 5 } })],
])("a plan that %s is refused, and nothing is done", async (what, edit) => {
  const path = await makeStore(join(dir, what.replaceAll(" ", "-")), 9);
  tear(join(path, "events.ndjson")); // takes no gap record, in which the id would stand
  const file = join(dir, "plan.json");
  await papyra([...RECOVER, "--path", path, "--mode", "quarantine", "--plan", file]);
  const [plan, names] = [JSON.parse(readFileSync(file, "utf8")) as Planned, readdirSync(path)];
  writeFileSync(file, JSON.stringify({ ...plan, ...(edit(plan) as object) }));
  const document = await papyraJson([...RECOVER, "--path", path, "--apply", file]);
  expect(document).toMatchObject({ exit: 64, error: { code: "OPTION_INVALID" } });
  expect((document.error as { message: string }).message).toContain(file);
  expect(readdirSync(path)).toEqual(names);
  writeFileSync(file, JSON.stringify(plan));
  expect(await papyraJson([...RECOVER, "--path", path, "--apply", file])).toMatchObject({ exit: 0 });
});
