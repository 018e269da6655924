// The memory of chunks is used again by who reads next: never by two at a time.
import { expect, test } from "vitest";
import { readRange } from "../src/env/durable.ts";
import { SimDisk } from "../src/testing/sim-disk.ts";

test("ranges that are read side by side, and one after the other, are each read right", async () => {
  const disk = new SimDisk();
  const names = ["a", "b", "c", "d", "e", "f"];
  await disk.env.fs.makeDir("/data");
  for (const name of names) disk.put(`/data/${name}`, name.repeat(200 << 10));
  const read = async (name: string): Promise<string> => {
    let text = "";
    for await (const chunk of readRange(disk.env.fs, `/data/${name}`, 0, 200 << 10)) {
      for (let i = 0; i < 20; i++) await Promise.resolve(); // the others read meanwhile
      text += Buffer.from(chunk).toString();
    }
    return text;
  };
  for (let round = 0; round < 3; round++) {
    const texts = await Promise.all(names.map(read));
    for (const [i, name] of names.entries()) expect(texts[i] === name.repeat(200 << 10), name).toBe(true);
  }
});
