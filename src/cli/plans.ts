// Plan files on the command line: written whole or not at all, read with care.
import type { Backend } from "../backends/backend.ts";
import { readSmall, readStart, replaceDurably } from "../env/durable.ts";
import { PapyraError } from "../errors.ts";
import { isInStore } from "../ops/keep-place.ts";
import { decodePlan, encodePlan, type PlanFile } from "../ops/plan-file.ts";
import type { Context } from "./context.ts";

const PLAN_BYTES_MAX = 16 << 20;
/** What a plan begins with, whoever has reformatted it. */
const PLAN_BEGINS = /^\s*\{\s*"papyra_plan"/;

/** Rejects with OPTION_INVALID when more than one of these options was given. */
export function onlyOneOf(context: Context, ...names: readonly string[]): void {
  const given = names.filter((name) => context.options[name] !== undefined);
  if (given.length < 2) return;
  const flags = given.map((name) => `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`);
  throw new PapyraError("OPTION_INVALID", `${flags.join(" and ")} do not go together`, {
    hint: "give one of them",
  });
}

/** Rejects with STORE_NOT_FOUND when there is no such file, and OPTION_INVALID when it is no plan of this command. */
export async function readPlan(context: Context, name: string, command: string): Promise<PlanFile> {
  const file = context.resolve(name);
  return decodePlan(await readSmall(context.env.fs, file, PLAN_BYTES_MAX), file, command);
}

/** Returns where it is. Rejects with OPTION_INVALID for a place in the store, and for one where anything but a plan is. */
export async function writePlan(
  context: Context,
  name: string,
  plan: Omit<PlanFile, "papyra_plan">,
  backend: Backend,
): Promise<string> {
  const file = context.resolve(name);
  await assertPlaceForPlan(context, file, backend);
  const bytes = encodePlan(plan);
  await replaceDurably(context.env.fs, context.env.random, file, (append) => append(bytes));
  return file;
}

/** The option reads like one that names the store: a log that is named there must not become a plan. */
async function assertPlaceForPlan(context: Context, file: string, backend: Backend): Promise<void> {
  const { fs } = context.env;
  const refused = (why: string): PapyraError =>
    new PapyraError("OPTION_INVALID", `the plan cannot be written to ${file}: ${why}`, {
      hint: "--plan names a file outside of the store that is not there yet, or a former plan; the store is named with --path",
      details: { file },
    });
  if (await isInStore(backend, file)) throw refused("that is in the store, which would not be as it was planned for");
  const there = await fs.stat(file);
  if (there === undefined) return;
  const isPlan = there.kind === "file" && PLAN_BEGINS.test((await readStart(fs, file, 64)).toString("utf8"));
  if (!isPlan) throw refused("what is there is no plan, and would be gone");
}
