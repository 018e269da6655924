// What a failed call of the file system is called, and what it tells its reader to do.
import { expect, test } from "vitest";
import { storageError } from "../src/env/storage-error.ts";

const failing = (code: string, errno: number) =>
  storageError("write", "/data/events.ndjson", Object.assign(new Error(), { code, errno }));

test("a quota that is used up, which Node has no name for, is a full disk", () => {
  expect(failing("Unknown system error -122", -122)).toMatchObject({
    code: "STORAGE_FULL",
    message: "cannot write /data/events.ndjson: EDQUOT",
    details: { errno: "EDQUOT" },
  });
  expect(failing("Unknown system error -122", -122).hint).toContain("quota");
});

test("what nobody knows is a failure of the storage, by the name that it has", () => {
  expect(failing("Unknown system error -133", -133)).toMatchObject({ code: "STORAGE_FAILED" });
  expect(failing("EIO", -5)).toMatchObject({ code: "STORAGE_FAILED", details: { errno: "EIO" } });
});
