// The consumer groups of a log at the instant of a backup. A few stand in the manifest; many are parts beside those of the segments,
// since a manifest is one object, and pending entries have no limit. As parts they are lines of JSON: a group, then each of its
// consumers, then what that one has pending, so many at a time.
import type { GroupState, PendingState } from "../backends/backend.ts";
import type { LogName } from "../log/record.ts";
import { loadPart } from "./backup-reader.ts";
import type { BackedUpLog, Manifest } from "./manifest.ts";
import type { ObjectStore } from "./objects.ts";
import { type PartSink, PartWriter } from "./parts.ts";

const INLINE_ENTRIES_MAX = 2000;
const INLINE_BYTES_MAX = 256 << 10;
const PENDING_A_LINE = 500;

type Line =
  | { readonly group: string; readonly seq: number; readonly id: string }
  | { readonly consumer: string }
  | { readonly pending: readonly PendingState[] };

/** What the manifest says of the groups of a log; what it only names is stored. */
export async function storeGroups(
  sink: PartSink,
  log: LogName,
  groups: readonly GroupState[],
): Promise<Pick<BackedUpLog, "groups" | "group_parts">> {
  if (areFew(groups)) return { groups };
  const writer = new PartWriter(sink, log, { stored: [], known: [] });
  for (const line of linesOf(groups)) await writer.push(Buffer.from(`${JSON.stringify(line)}\n`));
  return { group_parts: await writer.end() };
}

function areFew(groups: readonly GroupState[]): boolean {
  const entries = groups.reduce((sum, { consumers }) => {
    const pending = consumers.reduce((all, one) => all + one.pending.length, 0);
    return sum + 1 + consumers.length + pending;
  }, 0);
  return entries <= INLINE_ENTRIES_MAX && JSON.stringify(groups).length <= INLINE_BYTES_MAX;
}

function* linesOf(groups: readonly GroupState[]): Generator<Line> {
  for (const { group, seq, id, consumers } of groups) {
    yield { group, seq, id };
    for (const { consumer, pending } of consumers) {
      yield { consumer };
      for (let at = 0; at < pending.length; at += PENDING_A_LINE)
        yield { pending: pending.slice(at, at + PENDING_A_LINE) };
    }
  }
}

/** The groups of a log of a backup. Rejects with BACKUP_DAMAGED where a part of them is gone or not what it was. */
export async function groupsOf(objects: ObjectStore, manifest: Manifest, log: LogName): Promise<readonly GroupState[]> {
  const { groups = [], group_parts: parts } = manifest.logs[log];
  if (parts === undefined) return groups;
  const found: Read[] = [];
  for (const part of parts) {
    const bytes = await loadPart(objects, manifest, log, part, `the consumer groups of ${log}`);
    let from = 0; // a part ends with a line
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, from)) {
      take(found, JSON.parse(bytes.toString("utf8", from, end)) as Line);
      from = end + 1;
    }
  }
  return found;
}

const NEWLINE = 0x0a;

interface Read extends GroupState {
  readonly consumers: { readonly consumer: string; readonly pending: PendingState[] }[];
}

function take(found: Read[], line: Line): void {
  if ("group" in line) found.push({ ...line, consumers: [] });
  else if ("consumer" in line) found.at(-1)?.consumers.push({ consumer: line.consumer, pending: [] });
  else
    found
      .at(-1)
      ?.consumers.at(-1)
      ?.pending.push(...line.pending);
}
