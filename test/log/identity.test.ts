import { describe, expect, test } from "vitest";
import { encodeFields, encodeIdentity, encodeLine, seedOf } from "../../src/log/codec.ts";
import { judgeHead } from "../../src/log/identity.ts";
import type { Identity } from "../../src/log/record.ts";
import { IDENTITY, IDENTITY_LINE, line, lines } from "./sample.ts";

const BODY = Buffer.concat(lines(1, 5));
const WHOLE = Buffer.concat([IDENTITY_LINE, BODY]);
const SIBLINGS: Identity[] = [IDENTITY, { ...IDENTITY, log: "journal" }];

function fileOf(identity: Identity, records = 3): Buffer {
  const head = encodeIdentity(identity);
  const fields = encodeFields({ system_id: "x", payload: 1 });
  const body = Array.from({ length: records }, (_, i) =>
    encodeLine(seedOf(head), i + 1, undefined, "event", 0, fields),
  );
  return Buffer.from(head + body.join(""));
}

describe("the head of a file that belongs here", () => {
  test("is whole", () => {
    const ok = { type: "ok", line: IDENTITY_LINE };
    expect(judgeHead(WHOLE, "events", IDENTITY, SIBLINGS)).toEqual(ok);
    expect(judgeHead(WHOLE, "events", undefined, [])).toEqual(ok);
    expect(judgeHead(WHOLE, undefined, undefined, [])).toEqual(ok);
    expect(judgeHead(IDENTITY_LINE, "events", IDENTITY, [])).toEqual(ok);
    expect(judgeHead(IDENTITY_LINE, "events", undefined, [])).toEqual(ok);
  });

  test("any flip of it is one anomaly, mended from the store's identity, and never one for each line behind it", () => {
    for (let at = 0; at < IDENTITY_LINE.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const head = Buffer.from(WHOLE);
        head[at] = (head[at] as number) ^ (1 << bit);
        const judged = judgeHead(head, "events", IDENTITY, SIBLINGS);
        expect(judged.type, `bit ${bit} of byte ${at}`).toBe("damaged");
        if (judged.type !== "damaged") continue;
        expect(judged.line.equals(IDENTITY_LINE)).toBe(true);
        // The line is replaced as far as its line break, or the one that it became.
        if (head[at] !== 0x0a) expect(judged.bytes).toBe(IDENTITY_LINE.length);
      }
    }
  });

  test("torn at any byte, gone, or glued to the first record", () => {
    for (let kept = 0; kept < IDENTITY_LINE.length; kept++) {
      const judged = judgeHead(Buffer.concat([IDENTITY_LINE.subarray(0, kept), BODY]), "events", IDENTITY, SIBLINGS);
      expect(judged).toEqual({ type: "damaged", line: IDENTITY_LINE, bytes: kept });
    }
  });

  test("zeros instead of it, or an empty file", () => {
    const zeros = Buffer.concat([Buffer.alloc(IDENTITY_LINE.length), BODY]);
    expect(judgeHead(zeros, "events", IDENTITY, SIBLINGS)).toMatchObject({
      type: "damaged",
      bytes: IDENTITY_LINE.length,
    });
    expect(judgeHead(Buffer.alloc(0), "events", IDENTITY, SIBLINGS)).toMatchObject({ type: "damaged", bytes: 0 });
  });

  test("line breaks of another system: the identity is mended, the lines still verify", () => {
    const head = Buffer.from(WHOLE.toString().replaceAll("\n", "\r\n"));
    const mended = { type: "damaged", line: IDENTITY_LINE, bytes: IDENTITY_LINE.length + 1 };
    expect(judgeHead(head, "events", IDENTITY, SIBLINGS)).toEqual(mended);
    expect(judgeHead(head, "events", undefined, [])).toEqual(mended);
  });

  test("a damaged one is mended by the only record, though that lacks its line break or is glued to other bytes", () => {
    const record = line(1).subarray(0, -1);
    const broken = Buffer.from(IDENTITY_LINE.toString().replace("papyra", "papyri"));
    for (const [head, bytes] of [
      [Buffer.concat([broken, record]), broken.length],
      [record, 0],
      [Buffer.concat([record, broken]), 0],
      [Buffer.concat([broken, Buffer.from("\0\0"), record, Buffer.from("x\n")]), broken.length],
    ] as const) {
      expect(judgeHead(head, "events", IDENTITY, SIBLINGS)).toEqual({ type: "damaged", line: IDENTITY_LINE, bytes });
    }
  });

  test("the first line behind it may be damaged too", () => {
    const head = Buffer.from(WHOLE);
    head[3] = 0x58;
    head[IDENTITY_LINE.length + 20] = 0x58;
    expect(judgeHead(head, "events", IDENTITY, SIBLINGS)).toMatchObject({
      type: "damaged",
      bytes: IDENTITY_LINE.length,
    });
  });
});

describe("a file that belongs elsewhere", () => {
  test("is not taken for ours when its line breaks are those of another system", () => {
    for (const other of [
      { ...IDENTITY, store: "other" },
      { ...IDENTITY, lineage: "b9" },
    ]) {
      const head = Buffer.from(fileOf(other).toString().replaceAll("\n", "\r\n"));
      expect(judgeHead(head, "events", IDENTITY, SIBLINGS)).toEqual({ type: "foreign", identity: other });
    }
  });

  test.each<[string, Identity]>([
    ["another log of this store", { ...IDENTITY, log: "journal" }],
    ["another store", { ...IDENTITY, store: "other-1" }],
    ["another lineage", { ...IDENTITY, lineage: "b2" }],
  ])("%s is foreign, and says whose it is", (_, identity) => {
    expect(judgeHead(fileOf(identity), "events", IDENTITY, SIBLINGS)).toEqual({ type: "foreign", identity });
  });

  test("another log's lines without an identity are foreign if a sibling explains them", () => {
    const identity: Identity = { ...IDENTITY, log: "journal" };
    const file = fileOf(identity).subarray(encodeIdentity(identity).length);
    expect(judgeHead(file, "events", IDENTITY, SIBLINGS)).toEqual({ type: "foreign", identity });
  });

  test("without an identity of the store, the log that the file's name says decides", () => {
    expect(judgeHead(fileOf({ ...IDENTITY, log: "journal" }), "events", undefined, []).type).toBe("foreign");
    expect(judgeHead(fileOf({ ...IDENTITY, log: "journal" }, 0), "events", undefined, []).type).toBe("foreign");
    expect(judgeHead(fileOf({ ...IDENTITY, log: "journal" }), undefined, undefined, []).type).toBe("ok");
  });

  test("another store's identity over our lines is damage", () => {
    const head = Buffer.concat([Buffer.from(encodeIdentity({ ...IDENTITY, store: "x" })), BODY]);
    expect(judgeHead(head, "events", IDENTITY, SIBLINGS)).toMatchObject({ type: "damaged", line: IDENTITY_LINE });
  });
});

describe("files that cannot be checked", () => {
  const python = Buffer.from('{"kind":"event","timestamp":1.5,"payload":{}}\n{"kind":"audit"}\n');

  test("a log of the Python Papyra is unchecked; in a store of ours its identity is missing", () => {
    expect(judgeHead(python, "events", undefined, []).type).toBe("unchecked");
    expect(judgeHead(python, "events", IDENTITY, SIBLINGS)).toMatchObject({ type: "damaged", bytes: 0 });
    expect(judgeHead(Buffer.alloc(0), "events", undefined, []).type).toBe("unchecked");
  });

  test("checksums without anything to check them with are unreadable", () => {
    expect(judgeHead(BODY, "events", undefined, []).type).toBe("unreadable");
    expect(judgeHead(Buffer.concat([Buffer.from("xx\n"), BODY]), "events", undefined, []).type).toBe("unreadable");
  });

  test("a version of a later release is neither damage nor read", () => {
    const later = Buffer.concat([Buffer.from('{"papyra":2,"log":"events"}\n'), Buffer.from('{"s":1,"c":"x"}\n')]);
    expect(judgeHead(later, "events", undefined, [])).toEqual({ type: "unknown-version", version: 2 });
    // One bit lies between 1 and 3: the lines prove which of the two it was.
    const flipped = Buffer.from(WHOLE.toString().replace('"papyra":1', '"papyra":3'));
    expect(judgeHead(flipped, "events", undefined, []).type).toBe("damaged");
    expect(judgeHead(flipped, "events", IDENTITY, SIBLINGS).type).toBe("damaged");
  });

  test("over lines that all fail, an identity is the judge only where the store itself says that it is the right one", () => {
    const head = Buffer.concat([IDENTITY_LINE, Buffer.from(line(1).toString().replace('"n":1', '"n":2'))]);
    expect(judgeHead(head, "events", IDENTITY, [])).toEqual({ type: "ok", line: IDENTITY_LINE });
    expect(judgeHead(head, "events", undefined, [])).toEqual({ type: "unreadable" });
  });

  test("a flipped bit of a lone log's identity is found again: the lines prove which one it was", () => {
    const whole = Buffer.concat([IDENTITY_LINE, line(1), line(2)]);
    for (let i = 0; i < IDENTITY_LINE.length; i++) {
      const head = Buffer.from(whole);
      head[i] = (head[i] as number) ^ (1 << (i % 8));
      const judged = judgeHead(head, "events", undefined, []);
      expect(judged, `byte ${i}`).toMatchObject({ type: "damaged", line: IDENTITY_LINE });
    }
  });
});
