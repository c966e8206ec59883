// Packs of an exported page, undone; src/cratelm/viewer/packing.py and unit_blocks.py say what lies in them.
import type { Excerpt, Unit } from "./types";

export interface Pack { document: unknown; levels: Uint8Array }

export async function unpacked(pack: string): Promise<Pack> {
  const bytes = Uint8Array.from(atob(pack), (one) => one.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const whole = new Uint8Array(await new Response(stream).arrayBuffer());
  const begin = 4, end = begin + new DataView(whole.buffer).getUint32(0, true);
  return { document: JSON.parse(new TextDecoder().decode(whole.subarray(begin, end))), levels: whole.subarray(end) };
}

interface Group {
  half: string; kind: string; length: number; names: string[]; at: number;
  interval: number[]; document: number[]; place: number[]; start: number[];
}
export interface Block { units: Record<string, Omit<Unit, "texts" | "excerpts"> & { groups: Group[]; scales: Record<string, [number, number]> }> }
export interface Text { texts: string[]; halves: Record<string, { gaps: number[]; lengths: number[]; tokens: number[] }> }

/** The tokens at places of a half; what an excerpt covers lies in one run. */
function reader(text: Text, half: string): (start: number, length: number) => number[] {
  const { gaps, lengths, tokens } = text.halves[half];
  const begins: number[] = [], offsets: number[] = [];
  let place = 0, offset = 0;
  gaps.forEach((gap, at) => {
    begins.push(place += gap);
    offsets.push(offset);
    place += lengths[at];
    offset += lengths[at];
  });
  return (start, length) => {
    let low = 0, high = begins.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (begins[middle] <= start) low = middle; else high = middle - 1;
    }
    const from = offsets[low] + start - begins[low];
    return tokens.slice(from, from + length);
  };
}

const TRUE = "activations";

export function unitOf(pack: Pack, text: Text, unit: string): Unit {
  const found = (pack.document as Block).units[unit];
  if (!found) throw new Error("this unit is not in the export.");
  const { groups, scales, ...facts } = found;
  const read = Object.fromEntries([...new Set(groups.map((one) => one.half))].map((half) => [half, reader(text, half)]));
  const excerpts = groups.flatMap((group) => group.start.map((start, row): Excerpt => {
    const values = Object.fromEntries(group.names.map((name, at) => {
      const [low, high] = scales[name], from = group.at + (at * group.start.length + row) * group.length;
      return [name, Array.from(pack.levels.subarray(from, from + group.length), (level) => low + (level * (high - low)) / 255)];
    }));
    const { [TRUE]: activations, ...simulated } = values;
    return {
      half: group.half, kind: group.kind, length: group.length, interval: group.interval[row], document: group.document[row], place: group.place[row], start,
      tokens: read[group.half](start, group.length), activations, simulated,
      correlation: Object.fromEntries(Object.entries(simulated).map(([name, expected]) => [name, pearson(activations, expected)])),
    };
  }));
  return { ...facts, texts: text.texts, excerpts };
}

/** Pearson's r; 0 where one of the two does not vary, as the metrics have it. */
function pearson(x: number[], y: number[]): number {
  if ([x, y].some((values) => values.every((one) => one === values[0]))) return 0;
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [mx, my] = [mean(x), mean(y)];
  let xy = 0, xx = 0, yy = 0;
  x.forEach((value, at) => { xy += (value - mx) * (y[at] - my); xx += (value - mx) ** 2; yy += (y[at] - my) ** 2; });
  return xy / Math.sqrt(xx * yy);
}
