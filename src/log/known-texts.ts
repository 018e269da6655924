// Short ASCII texts that come again and again in lines that follow each other, such as the types of events: made from their
// bytes once, and recognised from then on. A text that is there already is compared for less than making it costs, and what
// looks it up in a map finds its hash made.

/** Remembers so many texts; newer ones take the places of others. */
export class KnownTexts {
  readonly #texts: string[];

  /** `places` is a power of two. */
  constructor(places: number) {
    this.#texts = Array.from({ length: places }, () => "");
  }

  /** The text in `bytes[from, to)`, all of which are ASCII. */
  at(bytes: Buffer, from: number, to: number): string {
    const length = to - from;
    const middle = bytes[from + (length >>> 1)] as number;
    const place = (length * 5 + middle + (bytes[to - 1] as number)) & (this.#texts.length - 1);
    const known = this.#texts[place] as string;
    if (isAt(bytes, from, to, known)) return known;
    const text = bytes.toString("latin1", from, to);
    this.#texts[place] = text;
    return text;
  }
}

/** Whether `bytes[from, to)` are this ASCII text. */
export function isAt(bytes: Buffer, from: number, to: number, text: string): boolean {
  if (text.length !== to - from) return false;
  for (let at = from; at < to; at++) if (text.charCodeAt(at - from) !== bytes[at]) return false;
  return true;
}
