import { expect, test } from "vitest";
import { memoryStore, openStore } from "../src/index.ts";

const SMALL = Array.from({ length: 6 }, (_, i) => ({
  kind: "event" as const,
  system_id: "s",
  actor_address: "s://a",
  event_type: "e",
  payload: i,
}));

test("of lines that are read in one window each verifies, also when its neighbours do", async () => {
  const backend = memoryStore();
  const store = await openStore(backend);
  const { at } = await store.append("events", SMALL);
  const read = async (...places: number[]): Promise<unknown[]> => {
    const payloads: unknown[] = [];
    for await (const record of store.readAt(
      "events",
      places.map((place) => at[place]!),
    ))
      payloads.push((record as { payload?: unknown }).payload);
    return payloads;
  };
  expect(await read(0, 1, 2, 3, 4, 5)).toEqual([0, 1, 2, 3, 4, 5]);
  expect(await read(1, 3, 4)).toEqual([1, 3, 4]);
  const bytes = backend.segmentBytes("events.ndjson");
  backend.putSegment("events.ndjson", Buffer.from(bytes.toString().replace('"payload":3', '"payload":8')));
  await expect(read(0, 1, 2, 3, 4, 5)).rejects.toMatchObject({ code: "LOG_DAMAGED" });
  await expect(read(2, 3)).rejects.toMatchObject({ code: "LOG_DAMAGED" });
  expect(await read(0, 1, 2, 4, 5)).toEqual([0, 1, 2, 4, 5]);
  const [first, second] = [at[1]!, at[2]!];
  const both = { ...first, length: first.length + 1 + second.length };
  const readBoth = async (): Promise<void> => {
    for await (const record of store.readAt("events", [at[0]!, both])) expect(record).toBeUndefined();
  };
  await expect(readBoth()).rejects.toMatchObject({ code: "LOG_DAMAGED" });
  await store.close();
});
