// Numbers and tokens as they stand on a page.
export const number = (value: number | null | undefined, digits = 3): string =>
  value === null || value === undefined ? "–" : value.toFixed(digits).replace("-", "−");
export const short = (value: number | null | undefined): string =>
  value === null || value === undefined ? "–" : String(Number(value.toPrecision(3))).replace("-", "−");
export const percent = (value: number | null | undefined): string =>
  value === null || value === undefined ? "–" : value > 0 && value < 0.0001 ? "<0.01%" : `${Number((100 * value).toPrecision(3))}%`;

const MARKS: Record<string, string> = { "\n": "↵", "\t": "⇥", "\r": "␍" };

/** A token with what cannot be seen as marks; control and direction characters as their numbers. */
export const visible = (text: string): string =>
  text.replace(/[\p{C}\u2028\u2029]/gu, (one) => MARKS[one] ?? `<U+${one.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}>`);

/** The same with blanks as marks too, for a token that stands alone. */
export const marked = (text: string): string => visible(text.length > 200 ? text.slice(0, 200) + "…" : text).replace(/ /g, "␣");

/** Pieces that are no whole characters come as <E2> and the like. */
export const isBytes = (text: string): boolean => /^(<[0-9A-F]{2}>)+$/.test(text);
