// Reads back what was recorded, the way a later start would: by opening the store again.
import type { Backend } from "../../src/backends/backend.ts";
import { openStore } from "../../src/backends/open.ts";
import type { LogName, LogRecord } from "../../src/log/record.ts";

export async function readAll(backend: Backend, log: LogName): Promise<LogRecord[]> {
  const store = await openStore(backend);
  const records: LogRecord[] = [];
  try {
    for await (const record of store.read(log)) records.push(record);
  } finally {
    await store.close();
  }
  return records;
}
