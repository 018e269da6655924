// A word of a shell command, so that what a hint tells to run can be pasted as it stands.

/** Characters that a terminal acts upon, or that hide what stands beside them. */
const CONTROL = /[\p{Cc}\u200e\u200f\u2028-\u202e\u2066-\u2069]/u;

/** Quoted only where it must be; control characters in the form that bash and zsh read. */
export function quoted(word: string): string {
  if (/^[\w@%+=:,./-]+$/.test(word)) return word;
  if (!CONTROL.test(word)) return `'${word.replaceAll("'", "'\\''")}'`;
  const escaped = Array.from(word, (char) => {
    if (char === "\\" || char === "'") return `\\${char}`;
    if (!CONTROL.test(char)) return char;
    const code = char.charCodeAt(0).toString(16);
    return char < "\u0080" ? `\\x${code.padStart(2, "0")}` : `\\u${code.padStart(4, "0")}`;
  });
  return `$'${escaped.join("")}'`;
}
