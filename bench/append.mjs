// Durable appends: Papyra, a bare loop of stringify, write and fdatasync, and SQLite (WAL, synchronous=FULL), with the same
// records. W concurrent writers of Papyra are compared with batches of W of the others.
import { mkdtempSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import Database from "better-sqlite3";
import { fileStore, openStore } from "../dist/index.js";
import { rounds, timed } from "./measure.mjs";

const recordOf = (n) => ({
  kind: "event",
  system_id: "bench",
  actor_address: `bench://account/${n % 1000}`,
  event_type: "Deposited",
  payload: { amount: n % 977, currency: "EUR", reference: `ref-${n}`, note: "monthly transfer" },
});

async function papyra(dir, writers, each) {
  const store = await openStore(fileStore({ path: join(dir, "papyra") }));
  let n = 0;
  const rate = await timed(writers * each, () =>
    Promise.all(
      Array.from({ length: writers }, async () => {
        for (let i = 0; i < each; i++) await store.append("events", [recordOf(n++)]);
      }),
    ),
  );
  await store.close();
  return rate;
}

async function bare(dir, writers, each) {
  const file = await open(join(dir, "bare.ndjson"), "w");
  let n = 0;
  let position = 0;
  const rate = await timed(writers * each, async () => {
    for (let i = 0; i < each; i++) {
      let text = "";
      for (let w = 0; w < writers; w++)
        text += `${JSON.stringify({ seq: n, timestamp: Date.now() / 1000, ...recordOf(n++) })}\n`;
      const bytes = Buffer.from(text);
      await file.write(bytes, 0, bytes.length, position);
      position += bytes.length;
      await file.datasync();
    }
  });
  await file.close();
  return rate;
}

async function sqlite(dir, writers, each) {
  const db = new Database(join(dir, "log.db"));
  db.pragma("journal_mode = WAL");
  db.pragma("synchronous = FULL");
  db.exec(
    "CREATE TABLE log (seq INTEGER PRIMARY KEY, timestamp REAL, kind TEXT, address TEXT, type TEXT, payload TEXT)",
  );
  const insert = db.prepare("INSERT INTO log (timestamp, kind, address, type, payload) VALUES (?, ?, ?, ?, ?)");
  let n = 0;
  const batch = db.transaction(() => {
    for (let w = 0; w < writers; w++) {
      const record = recordOf(n++);
      insert.run(
        Date.now() / 1000,
        record.kind,
        record.actor_address,
        record.event_type,
        JSON.stringify(record.payload),
      );
    }
  });
  const rate = await timed(writers * each, async () => {
    for (let i = 0; i < each; i++) batch();
  });
  db.close();
  return rate;
}

export async function benchAppend(base, roundCount) {
  const rows = [];
  for (const [writers, each] of [
    [1, 1500],
    [64, 150],
    [1000, 200],
  ]) {
    const fresh = (run) => async () => {
      const dir = mkdtempSync(join(base, "append-"));
      try {
        return await run(dir, writers, each);
      } finally {
        rmSync(dir, { recursive: true, force: true });
      }
    };
    const result = await rounds(roundCount, { papyra: fresh(papyra), bare: fresh(bare), sqlite: fresh(sqlite) });
    rows.push({
      what: `durable append, ${writers} concurrent writer${writers === 1 ? "" : "s"}`,
      papyra: `${Math.round(result.papyra.perSecond).toLocaleString("en-US")} records/s`,
      ratios: {
        "bare stringify + write + fdatasync": result.bare.ratio,
        "SQLite (WAL, FULL), same batches": result.sqlite.ratio,
      },
      budget: writers === 1000 ? "0.9 of bare, 1.2 of SQLite" : "",
    });
  }
  return rows;
}
