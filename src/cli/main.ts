// main(argv, io) -> exit code. One result on stdout, everything else on stderr; with --json exactly one document on
// stdout, also on failure. This file and bin.ts are the only ones that touch the process.
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { styleText } from "node:util";
import type { Command } from "commander";
import { CommanderError } from "commander";
import { ERRORS, ensureError, isPapyraError, PapyraError } from "../errors.ts";
import type { Act } from "./command-parts.ts";
import { buildProgram } from "./commands.ts";
import type { Context, Outcome } from "./context.ts";
import { exitOfError } from "./exit-codes.ts";
import { type CliIo, type Output, type Paint, PLAIN, wantsColour } from "./io.ts";
import { nextAfterError } from "./next.ts";
import { printable } from "./text.ts";

const STYLES = { good: ["green"], bad: ["red", "bold"], dim: ["dim"], bold: ["bold"] } as const;
const colourful: Paint = (style, text) => styleText([...STYLES[style]], text, { validateStream: false });

/** Runs the command line. Never throws, never exits; `argv` is without the program's name. */
export async function main(argv: readonly string[], io: CliIo): Promise<number> {
  const options = argv.slice(0, argv.includes("--") ? argv.indexOf("--") : argv.length);
  const json = options.includes("--json");
  const version = readVersion();
  let exit = 0;
  let command = "";
  const act: Act = async (name, load, raw) => {
    command = name;
    const { Context } = await import("./context.ts"); // with all that it needs: not for --help
    const outcome = await run(load, new Context(io, raw));
    exit = outcome.exit;
    outputFor(name, io).write(
      json ? documentOf(name, version, outcome) : outcome.text(wantsColour(io) ? colourful : PLAIN),
    );
  };
  const program = buildProgram(version, act, (root) => configure(root, io, json));
  try {
    await program.parseAsync([...argv], { from: "user" });
    return exit;
  } catch (thrown) {
    if (thrown instanceof CommanderError && thrown.exitCode === 0) return 0; // --help and --version, printed already
    command ||= commandIn(program, argv);
    const error = thrown instanceof CommanderError ? usageError(thrown, command) : thrown;
    if (json) outputFor(command, io).write(failureOf(command, version, error));
    else io.stderr.write(explain(error, command, version));
    return exitOfError(error);
  }
}

/** Where the result goes: of a command that pipes records through stdout, beside them. */
function outputFor(command: string, io: CliIo): Output {
  return command === "consume" ? io.stderr : io.stdout;
}

async function run(load: () => Promise<(context: Context) => Promise<Outcome>>, context: Context): Promise<Outcome> {
  try {
    return await (await load())(context);
  } finally {
    context.done();
  }
}

/** Errors are printed by main() alone, in one form; help that was asked for goes to stdout. */
function configure(root: Command, io: CliIo, json: boolean): void {
  root.exitOverride();
  root.configureOutput({
    writeOut: (text) => void io.stdout.write(text),
    writeErr: (text) => void (json || io.stderr.write(text)),
    outputError: () => undefined,
  });
}

function readVersion(): string {
  return (createRequire(import.meta.url)("../../package.json") as { version: string }).version;
}

/** The full name of the command that the words lead to, as far as they lead. */
function commandIn(program: Command, argv: readonly string[]): string {
  const names: string[] = [];
  let at = program;
  for (const word of argv) {
    const next = at.commands.find((candidate) => candidate.name() === word);
    if (next === undefined) break;
    names.push(word);
    at = next;
  }
  return names.join(" ");
}

function usageError(error: CommanderError, command: string): PapyraError {
  const help = `papyra ${command === "" ? "" : `${command} `}--help`;
  if (error.code === "commander.help" || error.message === "(outputHelp)") {
    return new PapyraError("OPTION_INVALID", "which command? none was given", { hint: `run: ${help}` });
  }
  const [message = "", suggestion] = error.message.replace(/^error: /, "").split("\n");
  const meant = suggestion === undefined ? "" : `${suggestion.replace(/^\(|\)$/g, "")} `;
  return new PapyraError("OPTION_INVALID", message, { hint: `${meant}Run: ${help}` });
}

/** One document. `undefined` is written as null, so that the fields of a report are always the same. */
function toJson(value: object): string {
  const seen = (_: string, member: unknown): unknown =>
    member === undefined
      ? null
      : typeof member === "bigint"
        ? String(member)
        : member instanceof Error
          ? member.message
          : member;
  return `${JSON.stringify(value, seen, 2)}\n`;
}

function documentOf(command: string, version: string, { exit, verdict, report }: Outcome): string {
  return toJson({ ok: exit === 0, exit, command, version, verdict, report });
}

function failureOf(command: string, version: string, thrown: unknown): string {
  const { code, message, hint, details } = asPapyraError(thrown);
  return toJson({ ok: false, exit: exitOfError(thrown), command, version, error: { code, message, hint, details } });
}

function asPapyraError(thrown: unknown): PapyraError {
  if (isPapyraError(thrown)) {
    const { code, message, details, cause, hint = nextAfterError(code) } = thrown;
    return thrown.hint === undefined ? new PapyraError(code, message, { cause, details, hint }) : thrown;
  }
  const error = ensureError(thrown);
  return new PapyraError("INTERNAL", error.message, {
    cause: error,
    hint: "this is a bug in Papyra; please report it with this output",
    details: { stack: error.stack },
  });
}

function explain(thrown: unknown, command: string, version: string): string {
  const error = asPapyraError(thrown);
  const lines = [`papyra: ${printable(error.message)} (${error.code})`];
  if (error.code === "INTERNAL") {
    lines.push(String(ensureError(error.cause ?? error).stack), `papyra ${version}, command: ${command}`);
  } else if (error.cause instanceof Error && !saysCause(error)) {
    lines.push(`Cause: ${printable(error.cause.message)}`);
  }
  if (error.hint !== undefined) lines.push(`Next: ${printable(error.hint)}`);
  return `${lines.join("\n")}\n`;
}

/** The message says already what its cause says, in its words or by the code of the system's error. */
function saysCause({ message, cause }: PapyraError): boolean {
  const { message: text, code } = cause as NodeJS.ErrnoException;
  return message.includes(text) || (code !== undefined && message.includes(code));
}

/** The real process: its streams, and its signals as one AbortSignal. A second signal ends it at once. */
export function processIo(): CliIo {
  const controller = new AbortController();
  const signals = ["SIGINT", "SIGTERM"] as const;
  const stop = (name: NodeJS.Signals): void => {
    for (const one of signals) process.off(one, stop); // the next one has its usual effect
    controller.abort(
      new PapyraError("INTERRUPTED", `stopped by ${name}`, {
        hint: "run the same command again; nothing is left half done",
      }),
    );
  };
  for (const one of signals) process.on(one, stop);
  return {
    stdout: outputOf(process.stdout),
    stderr: outputOf(process.stderr),
    cwd: process.cwd(),
    env: process.env,
    signal: controller.signal,
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
    workerScript: fileURLToPath(new URL("selftest-child.js", import.meta.url)),
  };
}

/**
 * Whoever reads may have gone away (`| head -1`): that is no failure, and nothing more is written. A result that could not
 * be written for another reason (a full disk behind `> scan.json`) is one, whatever it said.
 */
function outputOf(stream: NodeJS.WriteStream): Output {
  let gone = false;
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (!gone && error.code !== "EPIPE") {
      process.exitCode = error.code === "ENOSPC" ? ERRORS.STORAGE_FULL.exit : ERRORS.STORAGE_FAILED.exit;
      if (stream !== process.stderr) process.stderr.write(`papyra: cannot write the result: ${error.code}\n`);
    }
    gone = true;
  });
  return {
    write: (text) => gone || stream.write(text),
    written: (text) =>
      new Promise((resolve) => {
        if (gone) resolve(false);
        else stream.write(text, (error) => resolve(error === null || error === undefined));
      }),
    isTTY: stream.isTTY === true,
  };
}
