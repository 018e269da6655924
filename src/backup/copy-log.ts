// One log of an instant, verified and stored. Where the log only grew since the last backup, only what is new is read; where
// anything else is the case, all of it is, through the check that a scan makes.
import type { Backend, Segment, StoreView } from "../backends/backend.ts";
import { type CheckedLog, checkLog } from "../backends/check.ts";
import { readBytes } from "../ops/backwards.ts";
import type { LogName } from "../log/record.ts";
import { readGrowth } from "./growth.ts";
import type { BackedUpLog, BackedUpSegment, Manifest } from "./manifest.ts";
import type { ObjectStore } from "./objects.ts";
import { PartSink, PartWriter } from "./parts.ts";

/** A log in a backup, and what is wrong with it, in words. */
export interface CopiedLog {
  readonly log: BackedUpLog;
  readonly anomalies: readonly string[];
}

interface CopyOptions {
  readonly share?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

const ANOMALIES_MAX = 20;
const READ_BYTES = 1 << 20;

/** Copies the logs of one view. */
export class BackupLogs {
  readonly sink: PartSink;
  readonly #backend: Backend;
  readonly #view: StoreView;
  readonly #previous: Manifest | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #progress: (bytes: number) => void;

  constructor(
    backend: Backend,
    objects: ObjectStore,
    view: StoreView,
    previous: Manifest | undefined,
    options: CopyOptions,
  ) {
    this.#backend = backend;
    this.sink = new PartSink(objects, options.share);
    this.#view = view;
    this.#previous = previous;
    this.#signal = options.signal;
    const total = view.segments.reduce((sum, { bytes }) => sum + bytes, 0);
    let done = 0;
    this.#progress = (bytes) => options.onProgress?.((done += bytes), total);
  }

  async log(log: LogName): Promise<CopiedLog> {
    const segments = this.#view.segments.filter((segment) => segment.log === log);
    const before = this.#previous?.lineage === this.#view.identity?.lineage ? this.#previous?.logs[log] : undefined;
    const growth =
      before === undefined
        ? undefined
        : await readGrowth(
            {
              backend: this.#backend,
              view: this.#view,
              sink: this.sink,
              signal: this.#signal,
            },
            log,
            segments,
            before,
          );
    if (growth === undefined) return this.#readAll(log, segments);
    this.#progress(segments.reduce((sum, { bytes }) => sum + bytes, 0));
    return { log: growth, anomalies: [] };
  }

  async #readAll(log: LogName, segments: readonly Segment[]): Promise<CopiedLog> {
    const copy = new CopyingReader(this.#backend, segments, (segment) => this.#writer(log, segment));
    const checked = await checkLog(copy.backend, this.#view, log, {
      live: false,
      findingsMax: ANOMALIES_MAX,
      hashSealed: true,
      signal: this.#signal,
      onProgress: this.#progress,
    });
    const anomalies = checked.account.findings.map(
      ({ file, offset, detail }) => `${file} at byte ${offset}: ${detail}`,
    );
    if (!checked.checked) anomalies.push(`the log ${log} has no checksums`);
    return { log: describe(checked, await copy.finish()), anomalies };
  }

  #writer(log: LogName, segment: Segment): PartWriter {
    const before = this.#previous?.logs[log].segments;
    const known = before?.find(({ id }) => id === segment.id) ?? before?.find(({ name }) => name === segment.name);
    return new PartWriter(this.sink, log, { stored: [], known: known?.parts ?? [] });
  }
}

function describe({ account, first, last }: CheckedLog, segments: readonly BackedUpSegment[]): BackedUpLog {
  return {
    records: account.present,
    first_seq: first?.seq ?? null,
    last_seq: account.lastSeq,
    first_timestamp: first?.timestamp ?? null,
    last_timestamp: last?.timestamp ?? null,
    segments,
  };
}

/** Lets a log be read and stores, on the way, each segment from its first byte to its last. */
class CopyingReader {
  readonly backend: Backend;
  readonly #real: Backend;
  readonly #segments: readonly Segment[];
  readonly #newWriter: (segment: Segment) => PartWriter;
  readonly #done: BackedUpSegment[] = [];
  #current: { readonly segment: Segment; readonly writer: PartWriter } | undefined;

  constructor(real: Backend, segments: readonly Segment[], newWriter: (segment: Segment) => PartWriter) {
    this.#real = real;
    this.#segments = segments;
    this.#newWriter = newWriter;
    this.backend = { ...real, read: (_name, from, to, id) => this.#read(String(id), from, to) };
  }

  async *#read(id: string, from: number, to: number): AsyncGenerator<Uint8Array, void, undefined> {
    const { segment, writer } = await this.#enter(id);
    let at = from;
    for await (const chunk of this.#real.read(segment.name, from, to, segment.id)) {
      const end = at + chunk.length;
      if (at <= writer.offset && end > writer.offset) await writer.push(chunk.subarray(writer.offset - at));
      at = end;
      yield chunk;
    }
  }

  /** All segments, those that the reading left out included. */
  async finish(): Promise<readonly BackedUpSegment[]> {
    await this.#leave();
    for (const segment of this.#segments.slice(this.#done.length)) {
      await this.#enter(segment.id);
      await this.#leave();
    }
    return this.#done;
  }

  async #enter(id: string): Promise<{ readonly segment: Segment; readonly writer: PartWriter }> {
    if (this.#current?.segment.id === id) return this.#current;
    await this.#leave();
    const segment = this.#segments[this.#done.length] as Segment;
    this.#current = { segment, writer: this.#newWriter(segment) };
    return this.#current;
  }

  async #leave(): Promise<void> {
    if (this.#current === undefined) return;
    const { segment, writer } = this.#current;
    while (writer.offset < segment.bytes) {
      await writer.push(
        await readBytes(this.#real, segment, writer.offset, Math.min(segment.bytes, writer.offset + READ_BYTES)),
      );
    }
    const { name, id, active, bytes } = segment;
    this.#done.push({ name, id, active, bytes, parts: await writer.end() });
    this.#current = undefined;
  }
}
