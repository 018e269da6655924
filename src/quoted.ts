// A word of a shell command, so that what a hint tells to run can be pasted as it stands.

/** Quoted only where it must be; control characters in the form that bash and zsh read. */
export function quoted(word: string): string {
  if (/^[\w@%+=:,./-]+$/.test(word)) return word;
  if (!/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/.test(word)) {
    return `'${word.replaceAll("'", "'\\''")}'`;
  }
  const escaped = word.replace(/[\\'\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, (char) =>
    char === "\\" || char === "'"
      ? `\\${char}`
      : char < "\u0080"
        ? `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`
        : `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return `$'${escaped}'`;
}
