// A layer's units in the order, and after the filter, that an address asks for.
import type { Place } from "./route";
import type { Layer } from "./types";
import { topTokens } from "./toptokens";
import { WAYS } from "./ways";

export interface Choice { explainer: string; metric: string; sort: string; descending: boolean; search: string; only: string; way: string }

export function choice(place: Place, layer: Layer): Choice {
  const explainers = Object.keys(layer.scores);
  const asked = place.query.get("explainer") ?? "";
  const explainer = explainers.includes(asked) ? asked : explainers[0] ?? "";
  const metrics = Object.keys(layer.scores[explainer] ?? {});
  const metric = place.query.get("metric") ?? layer.primary;
  return {
    explainer,
    metric: metrics.includes(metric) ? metric : metrics[0] ?? "",
    sort: place.query.get("sort") ?? (place.query.get("way") ? "way" : "score"),
    descending: place.query.get("order") !== "up",
    search: (place.query.get("q") ?? "").trim().toLowerCase(),
    only: place.query.get("only") ?? "",
    way: place.query.get("way") ?? "",
  };
}

/** Whether each word that was searched for is in one of a unit's explanations or top tokens, or is its number. */
export function says(layer: Layer, unit: number, search: string): boolean {
  if (search === String(unit)) return true;
  const text = [...Object.values(layer.sentences).map((all) => all[unit] ?? ""), ...topTokens(layer, unit)].join(" ").toLowerCase();
  return search.split(/\s+/).every((word) => text.includes(word));
}

export function ordered(layer: Layer, asked: Choice): number[] {
  const scores = layer.scores[asked.explainer]?.[asked.metric] ?? [];
  const status = layer.status[asked.explainer]?.[asked.metric] ?? {};
  const kept = asked.only ? new Set(asked.only === "scored" ? [] : status[asked.only] ?? []) : null;
  const way = Object.hasOwn(WAYS, asked.way) ? WAYS[asked.way] : null;
  const unscored = new Set(Object.values(status).flat());
  const matches = (unit: number): boolean => {
    if (asked.only === "scored" ? unscored.has(unit) || scores[unit] === null : kept && !kept.has(unit)) return false;
    if (way && !way.has(layer, unit)) return false;
    return !asked.search || says(layer, unit, asked.search);
  };
  const found = (layer.only ?? Array.from({ length: layer.units }, (_, unit) => unit)).filter(matches);
  const by: Record<string, (unit: number) => number | null> = {
    unit: (unit) => -unit, score: (unit) => scores[unit], fires: (unit) => layer.firing[unit],
    maximum: (unit) => layer.maximum[unit], token: (unit) => layer.token_share[unit], way: (unit) => (way ? way.value(layer, unit) : scores[unit]),
  };
  const value = by[asked.sort] ?? by.score;
  const sign = asked.descending ? 1 : -1;
  // What has no value comes last either way; equals go by number.
  return found.sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === null || y === null) return Number(x === null) - Number(y === null) || a - b;
    return sign * (y - x) || a - b;
  });
}

export function statusOf(layer: Layer, asked: Pick<Choice, "explainer" | "metric">): Map<number, string> {
  const found = layer.status[asked.explainer]?.[asked.metric] ?? {};
  return new Map(Object.entries(found).flatMap(([name, units]) => units.map((unit) => [unit, name] as [number, string])));
}
