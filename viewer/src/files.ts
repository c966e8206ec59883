// What leaves the page: tables as files, and addresses and pictures for the clipboard.

export type Cell = string | number | null | undefined;

const quoted = (cell: Cell): string => {
  const text = cell === null || cell === undefined ? "" : String(cell);
  return /[",\r\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
};

/** Rows as CSV by RFC 4180; the first row names the columns. */
export const csv = (rows: Cell[][]): string => rows.map((row) => row.map(quoted).join(",") + "\r\n").join("");

export function save(name: string, content: string | Blob, type = "text/csv"): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  link.download = name.replace(/[^\w.+-]/g, "-");
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // not at once: the browser has yet to read it
}

/** Copies a text; where a browser gives no clipboard (a page that is not on this machine), it shows the text to copy. */
export async function copyText(text: string): Promise<boolean> {
  try { await navigator.clipboard.writeText(text); return true; } catch { prompt("Copy this:", text); return false; }
}

/** Copies a picture, or saves it where the clipboard takes none; says which. */
export async function copyPicture(name: string, picture: Blob): Promise<"copied" | "saved"> {
  try { await navigator.clipboard.write([new ClipboardItem({ [picture.type]: picture })]); return "copied"; } catch { save(name, picture); return "saved"; }
}
