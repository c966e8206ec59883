// Ways to find a unit that is worth looking at: what a unit has to be, and which come first.
import { topTokens } from "./toptokens";
import type { Layer } from "./types";

export interface Way { title: string; says: string; has: (layer: Layer, unit: number) => boolean; value: (layer: Layer, unit: number) => number | null }

const WELL = 0.5;
/** Function words of five letters or more; shorter ones are left out by their length. */
const FUNCTION = new Set("about above after again against because before being below between could doing during every further having other ought shall should since their theirs there these those though through under until where which while whose within without would".split(" "));
const LETTERS = 5;

/** The best score by any explainer: over whole contexts where that was measured, or else by the study's first metric. */
export function best(layer: Layer, unit: number): number {
  const metric = Object.values(layer.scores).some((by) => by["whole-text"]) ? "whole-text" : layer.primary;
  return Math.max(...Object.values(layer.scores).map((by) => by[metric]?.[unit] ?? 0), 0);
}

function isContent(token: string): boolean {
  const word = token.trim().toLowerCase();
  return /^\p{L}+$/u.test(word) && word.length >= LETTERS && !FUNCTION.has(word);
}

const known = (value: number | null | undefined): value is number => value !== null && value !== undefined;

export const WAYS: Record<string, Way> = {
  context: {
    title: "needs context and is well explained", says: "Best score of 0.5 or more, and a token share of at most 0.7; the lowest token share first.",
    has: (layer, unit) => best(layer, unit) >= WELL && known(layer.token_share[unit]) && layer.token_share[unit]! <= 0.7, value: (layer, unit) => -layer.token_share[unit]!,
  },
  rare: {
    title: "rare and well explained", says: "Best score of 0.5 or more, and fires on at most 5% of tokens; those that fire least often first.",
    has: (layer, unit) => best(layer, unit) >= WELL && (layer.firing[unit] ?? 0) > 0 && layer.firing[unit]! <= 0.05, value: (layer, unit) => -layer.firing[unit]!,
  },
  words: {
    title: "content words", says: "At least three top tokens, nearly all of them words of five letters or more that are no function words; the best explained first.",
    has: (layer, unit) => { const tokens = topTokens(layer, unit); return tokens.length >= 3 && tokens.filter(isContent).length >= 0.8 * tokens.length; }, value: best,
  },
  start: {
    title: "fires on the start of a sentence", says: "In half of its top excerpts or more the strongest token starts a sentence or a line; the surest first.",
    has: (layer, unit) => (layer.starts[unit] ?? 0) >= 0.5, value: (layer, unit) => layer.starts[unit]! + best(layer, unit) / 1000,
  },
};
