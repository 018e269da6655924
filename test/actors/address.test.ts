// Addresses: one spelling for each, and no name that can look like something else.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeName, formatAddress, parseAddress } from "../../src/actors/address.ts";
import { codeThrown } from "./world.ts";

describe("addresses", () => {
  test.each([
    [["orders", "42"], "local://orders/42"],
    [["a/b"], "local://a%2Fb"],
    [[".", "..", "..."], "local://%2E/%2E%2E/..."],
    [["käse 🧀"], "local://k%C3%A4se%20%F0%9F%A7%80"],
    [["100%"], "local://100%25"],
    [["a?b#c", "://"], "local://a%3Fb%23c/%3A%2F%2F"],
    [["\n\u2028"], "local://%0A%E2%80%A8"],
    [["__proto__"], "local://__proto__"],
  ])("%j is %s", (path, address) => {
    expect(formatAddress({ systemId: "local", path })).toBe(address);
    expect(parseAddress(address)).toEqual({ systemId: "local", path });
  });

  test.each([
    "",
    "orders",
    "://orders",
    "local://",
    "local:///",
    "local://a/",
    "local://a//b",
    "local://%61",
    "local://a%2fb",
    "local://..",
    "local://a b",
    "local://%",
    "local://%C3",
    "-x://a",
    "a b://c",
    `${"x".repeat(65)}://a`,
  ])("%j is no address", (address) => {
    expect(codeThrown(() => parseAddress(address))).toBe("OPTION_INVALID");
  });

  test.each([["", "a\0b", "\ud800", "x".repeat(1025), 7, undefined, null, {}]].flat())("%j is no name", (name) => {
    expect(codeThrown(() => encodeName(name))).toBe("OPTION_INVALID");
  });

  test("every path has one address, and no two share it", () => {
    const name = fc.string({ minLength: 1, maxLength: 20, unit: "grapheme" }).filter((text) => !text.includes("\0"));
    const path = fc.array(name, { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(path, path, (one, other) => {
        const address = formatAddress({ systemId: "s", path: one });
        expect(parseAddress(address).path).toEqual(one);
        expect(address).toMatch(/^s:\/\/[A-Za-z0-9\-_.!~*'()%/]+$/);
        if (formatAddress({ systemId: "s", path: other }) === address) expect(other).toEqual(one);
      }),
    );
  });
});
