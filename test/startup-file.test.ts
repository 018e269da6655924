import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ActorSystem, fileStore } from "../src/index.ts";

test("a system whose store path is somebody's file refuses to start and leaves the file alone", async () => {
  const dir = mkdtempSync(join(tmpdir(), "papyra-file-"));
  const path = join(dir, "notes.txt");
  writeFileSync(path, "not a store");
  for (const startup of ["ignore", "fail_on_anomaly", "recover"] as const) {
    const system = new ActorSystem({ store: fileStore({ path }), startup });
    await expect(system.start()).rejects.toMatchObject({ code: "OPTION_INVALID" });
    await system.stop();
  }
  expect(readFileSync(path, "utf8")).toBe("not a store");
  rmSync(dir, { recursive: true });
});
