// Search over the whole study: the one place where the index is asked. Today it reads the lists of all layers.
import { get, useLoaded, type Loaded } from "./data";
import { choice, ordered } from "./order";
import { address, type Place } from "./route";
import { shows, type Layer, type Nearest, type Study } from "./types";

export interface Hit { layer: Layer; unit: number }
/** What a search found in one layer, the best first. */
export interface Found { layer: Layer; units: number[] }

/** The lists of all layers of the models that are no controls. */
export const layersOf = (study: Study): Promise<Layer[]> => Promise.all(
  study.models.filter((model) => !model.control).flatMap((model) => model.layers.flatMap((_, at) => (shows(model, at) ? [get<Layer>(`/api${address(model.name, at)}`)] : []))),
);

export const useLayers = (study: Study): Loaded<Layer[]> => useLoaded("layers", () => layersOf(study));

/** Units that an address asks for (words, a way, an explainer and a metric), by layer. */
export async function found(study: Study, place: Place): Promise<Found[]> {
  return (await layersOf(study)).map((layer) => ({ layer, units: ordered(layer, choice(place, layer)) }));
}

/** A unit of another list, and what was said of it that is near in meaning to the words. */
export interface Near extends Hit { score: number; by: string; text: string }

/** The units of all layers nearest in meaning, the nearest first, without those that were found by words. */
export async function nearIn(all: Found[], words: string): Promise<Near[]> {
  const { units } = await get<Nearest>(`/api/search?${new URLSearchParams({ q: words })}`);
  return units.flatMap(({ model, layer, unit, ...how }) => {
    const list = all.find((one) => one.layer.model === model && one.layer.layer === layer);
    return list && !list.units.includes(unit) ? [{ layer: list.layer, unit, ...how }] : [];
  });
}

/** The units of all layers with the highest value. */
export function firstOf(all: Found[], count: number, value: (layer: Layer, unit: number) => number | null): Hit[] {
  const hits = all.flatMap(({ layer, units }) => units.map((unit) => ({ layer, unit, value: value(layer, unit) ?? -Infinity })));
  return hits.sort((a, b) => b.value - a.value).slice(0, count);
}
