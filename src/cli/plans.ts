// Plan files on the command line: written whole or not at all, read with care.
import { readSmall, replaceDurably } from "../env/durable.ts";
import { PapyraError } from "../errors.ts";
import { decodePlan, encodePlan, type PlanFile } from "../ops/plan-file.ts";
import type { Context } from "./context.ts";

const PLAN_BYTES_MAX = 16 << 20;

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

/** Returns where it is. */
export async function writePlan(context: Context, name: string, plan: Omit<PlanFile, "papyra_plan">): Promise<string> {
  const file = context.resolve(name);
  const bytes = encodePlan(plan);
  await replaceDurably(context.env.fs, context.env.random, file, (append) => append(bytes));
  return file;
}
