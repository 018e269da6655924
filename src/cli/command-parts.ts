// What the trees of commands are made of.
import { type Command, InvalidArgumentError } from "commander";
import type { Handler } from "./context.ts";

/** Makes a command with the options that every command has. */
export type Leaf = (parent: Command, name: string, summary: string, load: () => Promise<Handler>) => Command;

export function addExamples(command: Command, examples: readonly (readonly [command: string, why: string])[]): Command {
  const lines = examples.map(([line, why]) => `  $ ${line}\n      ${why}`);
  return command.addHelpText("after", `\nExamples:\n${lines.join("\n")}`);
}

export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max))
      throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
    return value;
  };
}
