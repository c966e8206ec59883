// Some units of each model, from the best explained to the worst: fixed quantiles of the score, and units by seed.
import { number, marked } from "./format";
import { unitAt } from "./find";
import { Term } from "./glossary";
import { topTokens } from "./toptokens";
import { comparison } from "./pin";
import { Link } from "./route";
import type { Hit } from "./search";
import type { Layer, Study } from "./types";

const QUANTILES = [0.97, 0.8, 0.6, 0.4, 0.2, 0.05];
/** How far from its quantile, in ranks, a unit may be. */
const NEAR = 0.02;

/** Numbers from 0 to 1 by a seed (mulberry32), the same in every browser. */
function drawn(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), 1 | state);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A model's units with a score by the study's endpoint, the lowest first. */
function byScore(layers: Layer[], study: Study): (Hit & { score: number })[] {
  const { explainer, metric } = study.primary;
  const all = layers.flatMap((layer) => (layer.scores[explainer]?.[metric] ?? []).flatMap((score, unit) => (score === null ? [] : [{ layer, unit, score }])));
  return all.sort((a, b) => a.score - b.score);
}

export function Gallery({ study, layers }: { study: Study; layers: Layer[] }) {
  const models = study.models.filter((model) => !model.control);
  const [one, other] = models.map((model) => byScore(layers.filter((layer) => layer.model === model.name), study).at(-1)).filter((best) => best !== undefined).map((best) => `${best.layer.model}/${best.layer.layer}/${best.unit}`);
  return (
    <section class="gallery">
      <h2>Units from the best explained to the worst <small><Term name={study.primary.metric} /> by <Term name={study.primary.explainer} />; chosen by quantile and seed, not by hand</small> {other && <Link to={comparison(one, other)}>Compare the best unit of each model</Link>}</h2>
      {models.map((model) => {
        const units = byScore(layers.filter((layer) => layer.model === model.name), study), random = drawn(0);
        const chosen = QUANTILES.map((quantile) => units[Math.max(0, Math.min(units.length - 1, Math.floor(units.length * (quantile + NEAR * (2 * random() - 1)))))]).filter(Boolean);
        return (
          <div key={model.name} class="row" role="group" aria-label={`Units of ${model.name}`}>
            {[...new Set(chosen)].map((one) => (
              <article key={unitAt(one)}>
                <p><Link to={unitAt(one)}>{model.name}/{one.layer.layer}/{one.unit}</Link> <b class="n">{number(one.score, 2)}</b></p>
                <p class="tokens">{topTokens(one.layer, one.unit).slice(0, 5).map((token) => <b key={token}>{marked(token)}</b>)}</p>
              </article>
            ))}
          </div>
        );
      })}
    </section>
  );
}
