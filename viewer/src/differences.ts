// How much higher one layer or model scores than another, and where the two are compared.
import type { Estimate, Study } from "./types";

export const layerComparison = (a: string, b: string, metric: string): string => `/compare?${new URLSearchParams({ a, b, metric })}`;

/** How much higher one layer (or model) scores than another, as the study has it; null where it has not. */
export function differenceOf(study: Study, one: string[], other: string[], metric: string): Estimate | null {
  const { explainer } = study.primary, { differences, layer_differences } = study.report;
  if (one[1] !== other[1]) return null;
  const all = one.length === 1 ? differences.filter((row) => row.explainer === explainer) : layer_differences.filter((row) => row.layer === Number(one[1]));
  const of = (model: string, rival: string) => all.find((row) => row.model === model && row.rival === rival && row.metric === metric)?.difference;
  const turned = of(other[0], one[0]);
  return of(one[0], other[0]) ?? (turned ? { mean: -turned.mean, low: -turned.high, high: -turned.low } : null);
}
