// How many bytes are read at the file system: what is flat is shown in bytes, not in time.
import type { Env } from "../src/env/env.ts";

/** The same world, and how many bytes were read in it from files whose path contains `part`. */
export function counting(env: Env, part: string): { readonly env: Env; bytes: number } {
  const counted = {
    bytes: 0,
    env: {
      ...env,
      fs: {
        ...bound(env.fs),
        async open(path: string, mode: "read" | "update" | "create") {
          const file = await env.fs.open(path, mode);
          return {
            ...bound(file),
            async read(into: Uint8Array, position: number) {
              const bytes = await file.read(into, position);
              if (path.includes(part)) counted.bytes += bytes;
              return bytes;
            },
          };
        },
      },
    } as Env,
  };
  return counted;
}

/** All methods of an object, to be taken apart and put together with others. */
function bound<T extends object>(object: T): T {
  return new Proxy({} as T, {
    ownKeys: () => methodsOf(object),
    getOwnPropertyDescriptor: (_, name) => ({ value: method(object, name), enumerable: true, configurable: true }),
    get: (_, name) => method(object, name),
  });
}
const methodsOf = (object: object): string[] =>
  Object.getOwnPropertyNames(Object.getPrototypeOf(object))
    .concat(Object.keys(object))
    .filter((name) => name !== "constructor");
const method = (object: object, name: string | symbol): unknown => {
  const value: unknown = Reflect.get(object, name);
  return typeof value === "function" ? value.bind(object) : value;
};
