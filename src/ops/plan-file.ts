// A plan that was written down, to be looked at and carried out later, by somebody else, on the store as it was then.
import { createHash } from "node:crypto";
import { PapyraError } from "../errors.ts";

/** What a plan file holds. Fields are only added. */
export interface PlanFile {
  readonly papyra_plan: 1;
  /** What shall be done: the name of the command. */
  readonly command: string;
  readonly store: string;
  readonly lineage: string;
  /** Of everything that the plan depends on: carried out on another store, or on this one changed, it is refused. */
  readonly fingerprint: string;
  /** What the command needs to plan the same again. */
  readonly options: Readonly<Record<string, unknown>>;
  /** What it printed, for people. */
  readonly report: object;
}

/** The fingerprint of anything that JSON can hold. */
export function fingerprintOf(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex");
}

export function encodePlan(plan: Omit<PlanFile, "papyra_plan">): Buffer {
  return Buffer.from(`${JSON.stringify({ papyra_plan: 1, ...plan }, undefined, 2)}\n`);
}

/** Rejects with OPTION_INVALID for what is no plan of this command. */
export function decodePlan(bytes: Buffer, file: string, command: string): PlanFile {
  const plan = parse(bytes);
  const wrong = whyNot(plan, command);
  if (wrong === undefined) return plan as PlanFile;
  throw noPlan(file, command, wrong);
}

export function noPlan(file: string, command: string, wrong: string): PapyraError {
  return new PapyraError("OPTION_INVALID", `${file} is no plan that can be applied: ${wrong}`, {
    hint: `make one with: papyra ${command} --plan plan.json`,
    details: { file },
  });
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch {
    return undefined;
  }
}

function whyNot(plan: unknown, command: string): string | undefined {
  if (typeof plan !== "object" || plan === null || !("papyra_plan" in plan)) return "it is not one that Papyra wrote";
  const { papyra_plan: version, command: of, store, lineage, fingerprint, options } = plan as Partial<PlanFile>;
  if (version !== 1) return `its version is ${JSON.stringify(version)}, and this release knows 1`;
  if (of !== command) return `it is for \`papyra ${String(of)}\``;
  const texts = [store, lineage, fingerprint].every((value) => typeof value === "string");
  return texts && typeof options === "object" && options !== null ? undefined : "it is not whole";
}

/** Refuses with STORE_CHANGED when the store is not the one, or not as it was, when the plan was made. */
export function assertSame(expected: string, actual: string, location: string, again: string): void {
  if (expected === actual) return;
  throw new PapyraError("STORE_CHANGED", `${location} is not as it was when the plan was made; nothing was done`, {
    hint: `look again: ${again}`,
    details: { expected, actual },
  });
}
