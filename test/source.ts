// The files of the repository as the rules see them: their imports, and their code without the text of strings and comments.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, posix, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT: string = dirname(dirname(fileURLToPath(import.meta.url)));
const NOT_OURS = new Set(["node_modules", "dist", ".git", "coverage", "demo-output", "package-lock.json", "fixtures"]);

/** Every file under a folder of the repository, as paths from its root, with `/`. */
export function filesUnder(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    if (NOT_OURS.has(entry.name)) return [];
    const path = join(folder, entry.name);
    return entry.isDirectory() ? filesUnder(path) : entry.isFile() ? [relative(".", path).split(sep).join("/")] : [];
  });
}

export function textOf(path: string): string {
  return readFileSync(join(ROOT, path), "utf8");
}

/** Where a regular expression may begin: behind these, a slash does not divide. */
const BEFORE_REGEX = /(?:^|[(,=:[!&|?{};>]|\breturn|\btypeof|\bcase)\s*$/;
const TOKEN =
  /\/\/[^\n]*|\/\*[^]*?\*\/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`|\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[a-z]*|[{}]/g;

/** The source with comments and the content of strings, templates and regular expressions blanked; offsets stay. */
export function codeOf(source: string): string {
  const blank = (text: string): string => text.replace(/[^\n]/g, " ");
  let out = "";
  let at = 0;
  const braces: ("block" | "template")[] = [];
  /** From behind a backtick, or the brace that ends an expression in a template, up to the next of either. */
  const template = (from: number): number => {
    const end = /(?:\\[^]|\$(?!\{)|[^`\\$])*/y;
    end.lastIndex = from;
    const text = end.exec(source)?.[0] ?? "";
    const next = from + text.length;
    if (source[next] === "$") braces.push("template");
    const closing = source[next] === "$" ? "${" : "`";
    out += blank(text) + closing;
    return next + closing.length;
  };
  while (at < source.length) {
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(source);
    if (match === null) return out + source.slice(at);
    const token = match[0];
    out += source.slice(at, match.index);
    at = match.index + token.length;
    if (token === "`" || (token === "}" && braces.pop() === "template")) {
      out += token;
      at = template(at);
    } else if (token === "{" || token === "}") {
      if (token === "{") braces.push("block");
      out += token;
    } else if (token.startsWith("//") || token.startsWith("/*")) {
      out += blank(token);
    } else if (token.startsWith("/") && !BEFORE_REGEX.test(out)) {
      out += "/";
      at = match.index + 1;
    } else {
      out += token.charAt(0) + blank(token.slice(1, -1)) + token.charAt(token.length - 1);
    }
  }
  return out;
}

/** What a file imports, types included: paths from the root for our own files, names for packages. */
export function importsOf(path: string, source: string, code: string): string[] {
  const specifiers = [...code.matchAll(/(?:\bfrom\s+|\bimport\s*\(?\s*)"/g)].map((match) => {
    const start = match.index + match[0].length;
    return source.slice(start, source.indexOf('"', start));
  });
  return specifiers.map((name) => (name.startsWith(".") ? posix.join(posix.dirname(path), name) : name));
}

/** The functions of formatted code: the line each begins at and how many lines it takes. */
export function functionsOf(code: string): { line: number; lines: number }[] {
  const lines = code.split("\n");
  const opens =
    /^(?!\s*(?:\}|export (?:abstract )?class|class|if|for|while|switch|else|try|interface)\b).*(?:=> \{|\)[^()=]* \{)$|^\s*\)[^;]*\{$/;
  return lines.flatMap((line, i) => {
    if (!opens.test(line)) return [];
    const indent = /^\s*/.exec(line)?.[0] ?? "";
    const end = lines.findIndex((other, j) => j > i && other.startsWith(`${indent}}`));
    return [{ line: i + 1, lines: end < 0 ? lines.length - i : end - i + 1 }];
  });
}
