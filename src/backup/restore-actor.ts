// Restoring one actor: its events are read from a backup and appended to the journal of a store, for the actor itself where the
// store has lost some of its newest, or for another one that has none yet. No other actor is touched.
import { typeOfPersistenceId } from "../actors/persistent.ts";
import type { Backend } from "../backends/backend.ts";
import { openStore } from "../backends/open.ts";
import type { Store } from "../backends/store.ts";
import { PapyraError } from "../errors.ts";
import type { JournalRecord, NewRecord } from "../log/record.ts";
import { passOver } from "../ops/record-pass.ts";
import { backupReader } from "./backup-reader.ts";
import { appendToCatalog } from "./catalog.ts";
import type { ObjectStore } from "./objects.ts";
import { choosePoint, type Point } from "./points.ts";
import { viewRepository } from "./repository.ts";

export interface ActorRestoreOptions {
  /** Its persistence id. */
  readonly actor: string;
  /** The one that gets its history; default: the same. Of the same type. */
  readonly as?: string | undefined;
  readonly point?: Point | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ActorRestoreReport {
  readonly ok: boolean;
  readonly verdict: string;
  readonly backup: string;
  readonly actor: string;
  readonly as: string;
  /** How many events were written; the others were there. */
  readonly events: number;
  readonly revision: number;
}

/** So many events are appended at once; a group is never split. */
const EVENTS_AT_ONCE = 500;

/**
 * Rejects with BACKUP_NOT_FOUND (also when the backup knows no such actor), STORE_CHANGED (the actor has other events in the store), HISTORY_DAMAGED (its first events are
 * not in the backup: a snapshot alone is no history), STORE_LOCKED (the store must be stopped), REPOSITORY_LOCKED (a prune is at work), and as {@link choosePoint} does.
 */
export async function restoreActor(
  objects: ObjectStore,
  backend: Backend,
  options: ActorRestoreOptions,
): Promise<ActorRestoreReport> {
  const { actor, as = actor } = options;
  if (typeOfPersistenceId(actor) !== typeOfPersistenceId(as)) {
    throw new PapyraError("OPTION_INVALID", `${as} is not of the type of ${actor}`, {
      hint: "a persistence id is a type and a name: account/42",
    });
  }
  const hold = await objects.hold("shared", "restore");
  try {
    return await restore(objects, backend, { ...options, as });
  } finally {
    await hold.release();
  }
}

async function restore(
  objects: ObjectStore,
  backend: Backend,
  { actor, as, point = {}, signal }: ActorRestoreOptions & { readonly as: string },
): Promise<ActorRestoreReport> {
  const { identity } = await backend.view();
  const { manifest, instant } = await choosePoint(objects, await viewRepository(objects), point, identity?.store);
  const history = await historyOf(backupReader(objects, manifest), actor, instant.journal, signal);
  assertWhole(history, actor, manifest.id);
  const there = await historyOf(backend, as, undefined, signal);
  const known = there.findIndex((event, i) => !isSameEvent(event, history[i]));
  if (known >= 0) {
    throw new PapyraError(
      "STORE_CHANGED",
      `${as} has other events in ${backend.location} from revision ${known + 1} on`,
      {
        hint: `give the history to another actor: --as ${as}-restored`,
        details: { actor: as, revision: known + 1 },
      },
    );
  }
  const missing = history.slice(there.length);
  if (missing.length > 0) {
    const store = await openStore(backend);
    try {
      await append(store, missing, as, signal);
    } finally {
      await store.close();
    }
    await appendToCatalog(objects, {
      type: "restored",
      backup: manifest.id,
      target: `${backend.location} (${as})`,
      lineage: "",
    });
  }
  const revision = history.length;
  const verdict =
    missing.length === 0
      ? `${as} has all ${revision} events already: nothing was done`
      : `${as} has the ${revision} events of ${actor} in backup ${manifest.id}`;
  return { ok: true, verdict, backup: manifest.id, actor, as, events: missing.length, revision };
}

async function historyOf(
  backend: Backend,
  actor: string,
  lastSeq: number | undefined,
  signal: AbortSignal | undefined,
): Promise<JournalRecord[]> {
  const events: JournalRecord[] = [];
  await passOver(backend, await backend.view(), "journal", { signal }, (record) => {
    if (record.kind !== "journal" || record.persistence_id !== actor) return;
    if (lastSeq === undefined || record.seq <= lastSeq) events.push(record);
  });
  return events;
}

function assertWhole(history: readonly JournalRecord[], actor: string, backup: string): void {
  if (history.length === 0) {
    throw new PapyraError("BACKUP_NOT_FOUND", `the backup ${backup} has no events of ${actor}`, {
      hint: "papyra backup list; is the id right?",
    });
  }
  const odd = history.findIndex(({ revision }, i) => revision !== i + 1);
  if (odd < 0) return;
  throw new PapyraError("HISTORY_DAMAGED", `the backup ${backup} lacks revision ${odd + 1} of ${actor}`, {
    hint: "an older backup may have it: papyra backup list; or restore the whole store to another place",
  });
}

function isSameEvent(a: JournalRecord, b: JournalRecord | undefined): boolean {
  const key = (one: JournalRecord): string => JSON.stringify([one.revision, one.event_type, one.version, one.payload]);
  return b !== undefined && key(a) === key(b);
}

async function append(
  store: Store,
  events: readonly JournalRecord[],
  as: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  let batch: NewRecord[] = [];
  for (const event of events) {
    const { seq: _, timestamp: __, durable: ___, ...fields } = event;
    delete (fields as { crc?: unknown }).crc;
    batch.push({ ...fields, persistence_id: as });
    const [position = 1, size = 1] = event.group ?? [];
    if (batch.length < EVENTS_AT_ONCE || position < size) continue;
    await store.append("journal", batch, signal === undefined ? {} : { signal });
    batch = [];
  }
  if (batch.length > 0) await store.append("journal", batch, signal === undefined ? {} : { signal });
}
