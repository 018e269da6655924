// What the trees of commands are made of.
import { type Command, InvalidArgumentError } from "commander";
import type { Handler } from "./context.ts";

/** Runs a command that was recognised: its full name, how to load what it does, its options. */
export type Act = (
  name: string,
  load: () => Promise<Handler>,
  options: Readonly<Record<string, unknown>>,
) => Promise<void>;

/** Makes a command below another one. */
export type Leaf = (parent: Command, name: string, summary: string, load: () => Promise<Handler>) => Command;

export function addExamples(command: Command, examples: readonly (readonly [command: string, why: string])[]): Command {
  const lines = examples.map(([line, why]) => `  $ ${line}\n      ${why}`);
  return command.addHelpText("after", `\nExamples:\n${lines.join("\n")}`);
}

/** Which repository, and what opens it. */
export function repositoryOption(command: Command): Command {
  return command
    .option(
      "--repository <dir>",
      "where the backups are: a directory or s3://bucket/prefix (default: PAPYRA_REPOSITORY, the configuration's `backups`, else ./backups)",
    )
    .option(
      "--age-identity <file>",
      "opens an encrypted repository; may be repeated (default: PAPYRA_AGE_IDENTITY)",
      collected,
    );
}

/** For an option that may be repeated. */
export function collected(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max))
      throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
    return value;
  };
}
