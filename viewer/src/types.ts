// The documents that the server gives; src/cratelm/viewer/ says what stands in them.
export interface Estimate { mean: number; low: number; high: number }
/** What a language model is worth that explained some of the units; `mark` stands beside its name. */
export interface Judge { explainer: string; mark: string; told: string }
export interface Model { name: string; control: boolean; protocol: string; explainers: string[]; judge: Judge | null; latents: boolean; layers: { site: string; units: number }[]; exported?: number[] }
/** Whether a layer of a model can be looked at: an export may leave some out. */
export const shows = (model: Model | undefined, layer: number): boolean => !!model && (model.exported?.includes(layer) ?? true);
export interface Row {
  model: string; layer: number | "all"; metric: string; score: Estimate; shuffled: Estimate;
  /** What a comparison adds; a model measured as it is has none. */
  random_weights?: Estimate; ceiling: number | null; token_share: number | null; firing_rate: number; dead: number; silent: number; constant: number;
}
/** A word of the glossary (src/cratelm/report/glossary.toml). */
export interface Term { name: string; says: string; more: string }
/** A model's mean score over all layers less a rival's. */
export interface Difference { model: string; rival: string; metric: string; explainer: string; difference: Estimate; primary: boolean; second?: boolean }
/** The same for one layer of both. */
export interface LayerDifference { model: string; rival: string; layer: number; metric: string; difference: Estimate }
export interface Study {
  glossary: Record<string, Term>;
  /** The comparison in sentences; none where there is nothing to compare. */
  headline: string[];
  /** Of an export: how many units are in a block, and how many blocks share a text. */
  export?: { block: number; shelf: number };
  /** The same in every copy and export of the study. */
  id: string;
  name: string; models: Model[]; reader: string | null; search?: boolean; primary: { explainer: string; metric: string };
  /** What each metric says, by its name. */
  metrics: Record<string, string>;
  report: {
    note: string; rows: Row[]; differences: Difference[]; layer_differences: LayerDifference[];
    models: { model: string; parameters: number; tokens: number; validation_loss: Estimate; bits_per_byte: number }[];
  };
}
type Column = (number | null)[];
export interface Layer {
  model: string; layer: number; site: string; units: number; protocol: string; primary: string; firing: Column; maximum: Column; token_share: Column;
  /** How far a unit reads back: a place in `last`, or its length for more than the largest; null where not measured. */
  reach: Column; last: number[];
  /** The share of its top excerpts in which it fires most on the start of a sentence or a line. */
  starts: Column;
  sentences: Record<string, (string | null)[]>; tokens: number[][]; texts: string[];
  /** Of an export, the units that are in it, where these are not all. */
  only?: number[]; scores: Record<string, Record<string, Column>>; status: Record<string, Record<string, Record<string, number[]>>>;
}
export interface Nearest { question: string; units: { model: string; layer: number; unit: number; score: number; by: string; text: string }[] }
export interface Excerpt {
  half: string; kind: string; length: number; interval: number; document: number;
  /** Of its first token: the place in its context, and on its half. */
  place: number; start: number; tokens: number[];
  activations: number[]; simulated: Record<string, number[]>; correlation: Record<string, number>;
}
export interface Score { explainer: string; metric: string; status: string | null; score: number | null; low: number | null; high: number | null; shuffled?: number | null; failed?: number | null }
export interface Weights {
  raised: { token: string; effect: number }[] | null; lowered: { token: string; effect: number }[] | null;
  neighbours: { unit: number; cosine: number }[] | null;
}
export interface Unit {
  model: string; layer: number; unit: number; units: number; site: string; explained_on: string; scored_on: string;
  statistics: Record<string, Record<string, number | null> & { histogram: number[] }>;
  context: { last: number[]; r2: (number | null)[]; reach: number | null } | null;
  explanations: Record<string, string>; scores: Score[]; texts: string[]; excerpts: Excerpt[]; weights?: Weights;
}
export interface Fired { layer: number; unit: number; maximum: number; share: number; /** On which share of recorded tokens it fires at least as strongly. */ as_strong: number; place: number; count: number }
export interface Fire {
  text: string; tokens: string[]; firing: Fired[];
  chosen: { layer: number; unit: number; maximum: number; activations: number[]; simulated: Record<string, number[]> } | null;
}
/** Something that contributes; `layer` is −1 of tokens and positions; an error is what an autoencoder misses. */
export interface Source { kind: "unit" | "error" | "token" | "position"; layer: number; unit: number; position: number; activation: number | null }
export interface Part { contribution: number; share: number | null }
export interface Contributor extends Source, Part { direct: number }
export interface Trace { node: Source; value: number; contributors: Contributor[]; others: Part; constant: Part }
export interface Why {
  tokens: string[]; target: Source;
  /** The target first, then its strongest contributors where that does not take too long. */
  traces: Trace[];
  /** What each position contributes. */
  positions: number[];
  said: Record<string, { explanation: string | null; top: string | null }>;
}
export interface Connected { layer: number; unit: number; weight: number; contribution: number; explanation: string | null; top: string | null }
/** Units of the neighbouring layers, by their mean contribution over so many tokens; null where there is no such layer. */
export interface Connections { tokens: number; fed_by: Connected[] | null; feeds: Connected[] | null }
export interface Without { before: number; predicted: number; after: number }
/** An explanation of one's own: its scores, and on the unit's excerpts what it expects; `words` counts scored excerpts. */
export interface Own { explanation: string; scores: Score[]; simulated: number[][]; correlation: number[]; words: Record<string, number>; excerpts: number }
export interface Read { judge: string; explanation: string; scores: Score[]; answers: number; failures: Record<string, number> }
export interface Change { token: string; before: number; after: number; difference: number }
export interface Steered { tokens: string[]; raised: Change[]; lowered: Change[]; divergence: number; continuation: string; steered_continuation: string }
