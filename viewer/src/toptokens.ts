// What a unit fires on most.
import type { Layer } from "./types";

/** A unit's top tokens as they are. */
export const topTokens = (layer: Layer, unit: number): string[] => (layer.tokens[unit] ?? []).map((token) => layer.texts[token]);
