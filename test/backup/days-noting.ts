// A backend that tells what is appended to it.
import type { AppendPart, Backend, Claim } from "../../src/backends/backend.ts";
import type { LogName } from "../../src/log/record.ts";
import { type Line, lineOf } from "./days-model.ts";

/** The same backend, which tells each line that it is given to append once it is acknowledged. */
export function noting(backend: Backend, stands: (log: LogName, line: Line) => void): Backend {
  const note = ({ log, bytes }: AppendPart): void => {
    for (const text of Buffer.from(bytes).toString("utf8").trimEnd().split("\n")) {
      const line = lineOf(text);
      if (line !== undefined) stands(log, line);
    }
  };
  return {
    ...backend,
    async claim(purpose) {
      const claim = await backend.claim(purpose);
      return new Proxy<Claim>(claim, {
        get(target, name) {
          const value: unknown = Reflect.get(target, name, target);
          if (name !== "append") return typeof value === "function" ? value.bind(target) : value;
          return async (parts: readonly AppendPart[]) => {
            const copies = parts.map((part) => ({ ...part, bytes: Buffer.from(part.bytes) }));
            const placed = await target.append(parts);
            copies.forEach(note);
            return placed;
          };
        },
      });
    },
  };
}
