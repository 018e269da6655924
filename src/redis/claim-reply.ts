// What the scripts that write have to say.
import { PapyraError } from "../errors.ts";
import type { Reply } from "./connection.ts";

/** The last id where there is no stream. */
const NOTHING = "0-0";

/** What a script said, behind its first word; a refusal becomes an error. */
export function settled(reply: readonly Reply[], location: string): readonly Reply[] {
  const [status, ...rest] = reply;
  switch (String(status)) {
    case "OK":
    case "DUP":
      return rest;
    case "FENCED":
      throw new PapyraError("STORE_FENCED", `another writer has taken over ${location}: ${holderOf(String(rest[0]))}`, {
        hint: "nothing of this writer is stored any more; stop it, or the other one",
        details: { location },
      });
    case "NEEDED": {
      const [key, group, state, id] = rest.map(String);
      const what = `the consumer group ${String(group)} of ${String(key)} ${String(state)} ${String(id)}`;
      throw new PapyraError("GROUP_BEHIND", `${what}, and compaction would take out what it still needs`, {
        hint: `let it read and acknowledge, or destroy it: XGROUP DESTROY ${String(key)} ${String(group)}; or set compactUnread`,
        details: { key, group, id },
      });
    }
    default: {
      const [key, last, expected] = rest.map(String);
      const gone = last === NOTHING;
      throw new PapyraError(
        "HISTORY_CHANGED",
        `${String(key)} ${gone ? "is gone" : `ends at ${String(last)}`}, and this writer left it at ${String(expected)}`,
        {
          hint: "the server lost history, or something else writes to the stream; run papyra persistence scan before anything else",
          details: { key, last, expected },
        },
      );
    }
  }
}

function holderOf(lease: string): string {
  if (lease === "") return "nobody holds it at this moment";
  const { pid, host, purpose } = JSON.parse(lease) as Record<string, unknown>;
  return `pid ${String(pid)} on ${String(host)} (${String(purpose)})`;
}
