// Whether a consumer group still needs what compaction is about to take out; asked before anything is written, so that a refusal leaves
// everything as it was. The publishing script asks again, in the same step as it acts: a group may be made, or moved back, meanwhile.
// Cheap for groups that have come along: one XINFO, and the summary of what is pending; only what is pending in front of the newest
// record that goes is looked at.
import type { SeqRange } from "../log/anomaly.ts";
import { within } from "../log/ranges.ts";
import { settled } from "./claim-reply.ts";
import type { Connection, Reply } from "./connection.ts";
import type { EntryReader } from "./delivery.ts";
import { PENDING_LINES } from "./group-scripts.ts";
import { type EntryId, idText, isBefore, parseId, seqIn } from "./layout.ts";
import { firstFromSeq } from "./seq-position.ts";

const PENDING_PAGE = "1000";

/** Rejects with GROUP_BEHIND. `gone`: in the order of the log. */
export async function assertUnneeded(
  connection: Connection,
  key: string,
  reader: EntryReader,
  gone: readonly SeqRange[],
): Promise<void> {
  const last = gone.at(-1)?.to;
  const groups =
    last === undefined ? [] : ((await connection.command("XINFO", "GROUPS", key)) as Reply[][]).map(groupIn);
  if (last === undefined || groups.length === 0) return;
  const newest = await firstFromSeq(connection, key, reader, last);
  if (newest?.seq !== last) return; // it is not there: the last step tells
  for (const { group, delivered, pending } of groups) {
    if (isBefore(parseId(delivered), newest.entry.id)) refuse(key, group, "has read up to", delivered);
    const held = pending === 0 ? undefined : await heldOf(connection, key, group, newest.entry.id, gone);
    if (held !== undefined) refuse(key, group, "has not acknowledged", held);
  }
}

function refuse(key: string, group: string, state: string, id: string): never {
  settled(["NEEDED", key, group, state, id], key);
  throw new Error(`${group} was refused`); // the line above has thrown
}

function groupIn(flat: readonly Reply[]): {
  readonly group: string;
  readonly delivered: string;
  readonly pending: number;
} {
  const fields = new Map<string, string>();
  for (let i = 0; i < flat.length; i += 2) fields.set(String(flat[i]), String(flat[i + 1]));
  const of = (name: string): string => fields.get(name) as string;
  return { group: of("name"), delivered: of("last-delivered-id"), pending: Number(of("pending")) };
}

/** The first pending entry that goes, if there is one. */
async function heldOf(
  connection: Connection,
  key: string,
  group: string,
  newest: EntryId,
  gone: readonly SeqRange[],
): Promise<string | undefined> {
  const [, oldest] = (await connection.command("XPENDING", key, group)) as Reply[];
  if (oldest === null || isBefore(newest, parseId(String(oldest)))) return undefined;
  for (let from = "-"; ; ) {
    const page = await connection.script(PENDING_LINES, [key], [group, from, idText(newest), PENDING_PAGE]);
    for (const [id, line] of page as [Buffer, Buffer][]) {
      const seq = seqIn(line);
      if (seq !== undefined && within({ from: seq, to: seq }, gone).length > 0) return String(id);
    }
    if (page.length < Number(PENDING_PAGE)) return undefined;
    from = `(${String((page.at(-1) as Reply[])[0])}`;
  }
}
