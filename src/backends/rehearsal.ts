// A store on which an operation is rehearsed: it reads as the real one, takes every change, and keeps the changes in memory,
// so that what an operation would do is what it does, on all of its paths.
import { PapyraError } from "../errors.ts";
import { activeIdentityLine } from "../log/lineage.ts";
import { LOG_NAMES, type LogName } from "../log/record.ts";
import { activeName, STORE_FILE } from "../log/segments.ts";
import type { Backend, Claim, Segment, Splice, StoreFinding, StoreIdentity, StoreView } from "./backend.ts";

/** Bytes of the real segment, or bytes that were put in. */
type Piece = { readonly from: number; readonly to: number } | { readonly bytes: Uint8Array };

/** One change, as a plan names it. */
export interface RehearsedChange {
  readonly verb: "create" | "rewrite" | "remove" | "tidy" | "keep";
  readonly file: string;
  readonly splices?: readonly Splice[];
}

/** What is rehearsed on it changes nothing. Only the verbs of recovery are there. */
export class Rehearsal implements Backend {
  readonly kind: Backend["kind"];
  readonly location: string;
  readonly durability: string;
  readonly limits: Backend["limits"];
  readonly env: Backend["env"];
  /** In the order in which they would happen. */
  readonly changes: RehearsedChange[] = [];
  readonly #real: Backend;
  readonly #look: () => Promise<StoreView>;
  readonly #pieces = new Map<string, readonly Piece[]>();
  readonly #created = new Map<string, LogName>();
  readonly #removed = new Set<string>();
  #identified = false;

  /** Who has the lock already looks as its holder. */
  constructor(real: Backend, look: () => Promise<StoreView> = () => real.view()) {
    this.kind = real.kind;
    this.location = real.location;
    this.durability = real.durability;
    this.limits = real.limits;
    this.env = real.env;
    this.#real = real;
    this.#look = look;
  }

  async view(): Promise<StoreView> {
    const view = await this.#look();
    const there = view.segments.filter(({ name }) => !this.#removed.has(name)).map((one) => this.#changed(one));
    const made = [...this.#created].map(([name, log]): Segment => {
      return this.#changed({ name, log, bytes: 0, active: true, firstSeq: undefined, id: "" });
    });
    const segments = LOG_NAMES.flatMap((log) => [...there, ...made].filter((segment) => segment.log === log));
    const lone = there.filter(({ log }) => log === undefined);
    return {
      ...view,
      segments: [...lone, ...segments],
      superseded: view.superseded.filter(({ name }) => !this.#removed.has(name)),
      findings: view.findings.filter((finding) => !this.#isMended(finding)),
    };
  }

  async *read(segment: string, from: number, to: number, id?: string): AsyncGenerator<Uint8Array, void, undefined> {
    const pieces = this.#pieces.get(segment);
    if (pieces === undefined) {
      yield* this.#real.read(segment, from, to, id);
      return;
    }
    let at = 0;
    for (const piece of pieces) {
      const length = lengthOf(piece);
      const [start, end] = [Math.max(0, from - at), Math.min(length, to - at)];
      at += length;
      if (start >= end) continue;
      if ("bytes" in piece) yield piece.bytes.subarray(start, end);
      else yield* this.#real.read(segment, piece.from + start, piece.from + end);
    }
  }

  async quarantine(_directory: string, files: ReadonlyMap<string, AsyncIterable<Uint8Array>>): Promise<void> {
    for (const file of files.keys()) this.changes.push({ verb: "keep", file });
  }

  readKept(directory: string, file: string): AsyncIterable<Uint8Array> {
    return this.#real.readKept(directory, file);
  }

  freeBytes(): Promise<number> {
    return this.#real.freeBytes();
  }

  /** Takes no lock. Rejects with STORE_LOCKED beside a writer, which could change what is rehearsed on. */
  async claim(purpose: string): Promise<Claim> {
    const { writer } = await this.#look();
    if (writer !== undefined) {
      throw new PapyraError("STORE_LOCKED", `${this.location} is held by pid ${writer.pid} (${writer.purpose})`, {
        hint: `a plan for ${purpose} would be stale at once: stop it first`,
        details: { ...writer },
      });
    }
    const not = (what: string) => async (): Promise<never> => {
      throw new PapyraError("INTERNAL", `${what} cannot be rehearsed`);
    };
    return {
      view: () => this.view(),
      create: async (identity) => this.#create(identity, await this.#look()),
      rewrite: (segment, splices) => this.#rewrite(segment, splices),
      remove: async (segments) => segments.forEach((segment) => this.#remove("remove", segment)),
      tidy: async () => {
        const { findings } = await this.view();
        const names = findings.filter(({ leftover }) => leftover === "temporary").map(({ file }) => file);
        for (const name of names) this.#remove("tidy", name);
        return names;
      },
      vouch: async () => undefined,
      release: async () => undefined,
      append: not("an append"),
      durableSeq: () => 0,
      sync: not("a sync"),
      resume: not("a resumption"),
      startSegment: not("a new segment"),
      publish: not("a publication"),
    };
  }

  #changed(segment: Segment): Segment {
    const pieces = this.#pieces.get(segment.name);
    if (pieces === undefined) return segment;
    return { ...segment, bytes: pieces.reduce((sum, piece) => sum + lengthOf(piece), 0) };
  }

  #isMended({ kind, file }: StoreFinding): boolean {
    return this.#removed.has(file) || (this.#identified && (kind === "missing-segment" || file === STORE_FILE));
  }

  #create(identity: StoreIdentity, view: StoreView): void {
    this.#identified = true;
    this.changes.push({ verb: "create", file: STORE_FILE });
    for (const log of LOG_NAMES) {
      if (view.segments.some((segment) => segment.log === log && segment.active)) continue;
      this.#created.set(activeName(log), log);
      this.#pieces.set(activeName(log), [{ bytes: activeIdentityLine(identity, log) }]);
      this.changes.push({ verb: "create", file: activeName(log) });
    }
  }

  #remove(verb: "remove" | "tidy", file: string): void {
    this.#removed.add(file);
    this.changes.push({ verb, file });
  }

  async #rewrite(segment: string, splices: readonly Splice[]): Promise<void> {
    const { segments } = await this.#look();
    const bytes = segments.find(({ name }) => name === segment)?.bytes ?? 0;
    const pieces = this.#pieces.get(segment) ?? [{ from: 0, to: bytes }];
    this.changes.push({ verb: "rewrite", file: segment, splices });
    this.#pieces.set(segment, spliced(pieces, splices));
  }
}

function lengthOf(piece: Piece): number {
  return "bytes" in piece ? piece.bytes.length : piece.to - piece.from;
}

/** The pieces after some splices. */
function spliced(pieces: readonly Piece[], splices: readonly Splice[]): Piece[] {
  const result: Piece[] = [];
  let position = 0;
  for (const { offset, remove, insert } of splices) {
    result.push(...cut(pieces, position, offset));
    if (insert.length > 0) result.push({ bytes: insert });
    position = offset + remove;
  }
  return [...result, ...cut(pieces, position, Number.MAX_SAFE_INTEGER)];
}

function cut(pieces: readonly Piece[], from: number, to: number): Piece[] {
  const found: Piece[] = [];
  let at = 0;
  for (const piece of pieces) {
    const length = lengthOf(piece);
    const [start, end] = [Math.max(0, from - at), Math.min(length, to - at)];
    at += length;
    if (start >= end) continue;
    found.push(
      "bytes" in piece
        ? { bytes: piece.bytes.subarray(start, end) }
        : { from: piece.from + start, to: piece.from + end },
    );
  }
  return found;
}
