// docs/format.md and the programs on it.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { expect } from "vitest";

export const page: string = readFileSync(new URL("../../docs/format.md", import.meta.url), "utf8");

/** The one fenced block of a language. */
export function blockOf(language: string): string {
  const blocks = [...page.matchAll(new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\`$`, "gm"))];
  expect(blocks, `one ${language} block`).toHaveLength(1);
  return blocks[0]?.[1] ?? "";
}

export function run(
  command: string,
  args: readonly string[],
  input: string = "",
): { status: number | null; output: string } {
  const result = spawnSync(command, args, { encoding: "utf8", input, maxBuffer: 1 << 28 });
  if (result.error !== undefined && result.stderr === "") throw result.error; // a missing sh or python3 is a failure, not a reason to skip
  return { status: result.status, output: result.stdout + result.stderr };
}
