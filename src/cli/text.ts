// Small pure helpers for text that people read in a terminal and programs grep.

/**
 * Text from a file or a path, safe to print on one line: what could move the cursor, colour the terminal or reorder
 * what is read is shown as an escape.
 */
export function printable(text: string): string {
  return text.replace(
    // oxlint-disable-next-line no-control-regex
    /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** At most `max` characters on one line. */
export function shortened(text: string, max: number): string {
  const shown = printable(text);
  return shown.length <= max ? shown : `${shown.slice(0, max - 3)}...`;
}

/** Epoch seconds as ISO time; what is no time is said to be none. */
export function timeOf(seconds: unknown): string {
  if (typeof seconds !== "number" || !(Math.abs(seconds) < 8.64e12)) return "-";
  return new Date(Math.round(seconds * 1000)).toISOString();
}

/** Bytes for people, for progress only: reports print exact numbers. */
export function roughBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** Columns of cells, two spaces apart; those named in `right` are aligned to the right. */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  right: readonly string[],
): string[] {
  const lines = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...lines.map((line) => widthOf(line[column] ?? ""))));
  return lines.map((line) =>
    line
      .map((cell, column) => {
        const space = " ".repeat((widths[column] as number) - widthOf(cell));
        return right.includes(head[column] as string) ? space + cell : cell + space;
      })
      .join("  ")
      .trimEnd(),
  );
}

const WIDE =
  /^[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;

/** How many columns of a terminal a text takes. */
function widthOf(text: string): number {
  if (/^[ -~]*$/.test(text)) return text.length;
  let width = 0;
  for (const { segment } of new Intl.Segmenter("en", { granularity: "grapheme" }).segment(text))
    width += WIDE.test(segment) ? 2 : 1;
  return width;
}
