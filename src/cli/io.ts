// What the command line needs of its process, so that main() can be called in a test like any function.

/** A stream to write text to. */
export interface Output {
  write(text: string): unknown;
  /** Resolves once the system has taken the text; with false when it has not, since whoever reads has gone, or it failed. */
  written(text: string): Promise<boolean>;
  readonly isTTY: boolean;
}

export interface CliIo {
  readonly stdout: Output;
  readonly stderr: Output;
  /** Where relative paths begin. */
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborted when the command shall stop. */
  readonly signal: AbortSignal;
  /** The version of Node and the platform, for `doctor`. */
  readonly node: string;
  readonly platform: string;
  /** The script of the processes that `persistence selftest` starts (selftest-child.ts, built). */
  readonly workerScript: string;
}

/** Colours a text, or leaves it as it is. */
export type Paint = (style: "good" | "bad" | "dim" | "bold", text: string) => string;

export const PLAIN: Paint = (_, text) => text;

/** Whether stdout takes colours: NO_COLOR wins, then FORCE_COLOR, then whether it is a terminal. */
export function wantsColour(io: CliIo): boolean {
  const { NO_COLOR: no, FORCE_COLOR: force, TERM: term } = io.env;
  if (no !== undefined && no !== "") return false;
  if (force !== undefined && force !== "" && force !== "0") return true;
  return io.stdout.isTTY && term !== "dumb";
}
