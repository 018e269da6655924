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

const MIB = 1 << 20;

test("while a chunk is used the next one is read, and each stays as it was until the next is asked for", async () => {
  const disk = new SimDisk();
  await disk.env.fs.makeDir("/data");
  const content = Buffer.concat(["a", "b", "c"].map((letter) => Buffer.alloc(MIB, letter)));
  disk.put("/data/three", content.subarray(0, 3 * MIB - 7));
  const calls: string[] = [];
  disk.pause = ({ operation }) => void calls.push(operation);
  const chunks: string[] = [];
  for await (const chunk of readRange(disk.env.fs, "/data/three", 5, 3 * MIB - 7)) {
    for (let i = 0; i < 50; i++) await Promise.resolve();
    calls.push(`${chunk.length} bytes used`);
    chunks.push(Buffer.from(chunk).toString());
  }
  expect(chunks.join("") === content.toString("latin1", 5, 3 * MIB - 7)).toBe(true);
  const [first, second, last] = [`${MIB} bytes used`, `${MIB} bytes used`, `${MIB - 12} bytes used`];
  expect(calls).toEqual(["open", "read", "read", first, "read", second, last, "close"]);
});

test("who stops early, with a read under way, leaves nothing that disturbs the next reader", async () => {
  const disk = new SimDisk();
  await disk.env.fs.makeDir("/data");
  for (const name of ["a", "b"]) disk.put(`/data/${name}`, name.repeat(2 * MIB));
  disk.pause = async ({ operation, path }) => {
    if (operation === "read" && path === "/data/a") for (let i = 0; i < 200; i++) await Promise.resolve();
  };
  for await (const chunk of readRange(disk.env.fs, "/data/a", 0, 2 * MIB)) if (chunk.length > 0) break;
  for await (const chunk of readRange(disk.env.fs, "/data/b", 0, 2 * MIB)) {
    for (let i = 0; i < 400; i++) await Promise.resolve();
    expect(Buffer.from(chunk).includes("a")).toBe(false);
  }
  expect(disk.openFiles).toBe(0);
});

test("a chunk that cannot be read fails when it is its turn, and not for who has stopped before", async () => {
  const disk = new SimDisk();
  await disk.env.fs.makeDir("/data");
  disk.put("/data/a", Buffer.alloc(3 * MIB));
  const read = async (most: number): Promise<number> => {
    let chunks = 0;
    for await (const chunk of readRange(disk.env.fs, "/data/a", 0, 3 * MIB)) {
      chunks += Math.sign(chunk.length);
      if (chunks === most) break;
    }
    return chunks;
  };
  disk.failAt(2, "EIO", { operations: ["read"] });
  expect(await read(1)).toBe(1);
  disk.failAt(2, "EIO", { operations: ["read"] });
  await expect(read(2)).rejects.toMatchObject({ code: "STORAGE_FAILED" });
  expect([disk.faultsHit, disk.openFiles]).toEqual([2, 0]);
});
