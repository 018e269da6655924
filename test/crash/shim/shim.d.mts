export declare const ACTING: readonly string[];
export declare const ERRNO: Readonly<Record<string, number>>;
export declare function shimObstacle(): string | undefined;
export declare function buildShim(): { readonly library: string; remove(): void };
export declare class Shim {
  static ofThisProcess(): Shim;
  constructor(library: string, root: string, file?: string);
  readonly env: NodeJS.ProcessEnv;
  order(order?: object): void;
  clock(time?: { frozenMs?: number; offsetMs?: number }): void;
  readonly calls: number;
  readonly fired: number;
  remove(): void;
}
