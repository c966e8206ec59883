// Two layers, or two whole models, next to each other: scores and their difference, how they are spread, the best units.
import { COLOURS, Spreads } from "./charts";
import { useLoaded } from "./data";
import { differenceOf } from "./differences";
import { unitAt } from "./find";
import { marked, number, percent } from "./format";
import { Term } from "./glossary";
import { Range } from "./means";
import { topTokens } from "./toptokens";
import { Pin } from "./pin";
import { address, changed, go, Link, type Place } from "./route";
import { firstOf, layersOf } from "./search";
import { shows, type Layer, type Row, type Study } from "./types";

const BEST = 10;

/** A model, a layer or a unit by its address: `crate`, `crate/1` or `crate/1/37`; null where the study has none. */
export function partsOf(study: Study, name: string): string[] | null {
  const [, model, layer, unit] = /^(.+?)(?:\/0*(\d+))?(?:\/0*(\d+))?$/.exec(name) ?? [];
  const found = study.models.find((one) => one.name === model);
  if (!found || (layer !== undefined && !shows(found, Number(layer)))) return null;
  const at = layer === undefined ? null : found.layers[Number(layer)];
  if (at === undefined || (unit !== undefined && Number(unit) >= at!.units)) return null;
  return [model, layer, unit].filter((part) => part !== undefined);
}

const rowsOf = (study: Study, [model, layer]: string[]): Row[] => study.report.rows.filter((row) => row.model === model && row.layer === (layer === undefined ? "all" : Number(layer)));

export function CompareLayers({ study, place, sides }: { study: Study; place: Place; sides: [string[], string[]] }) {
  const names = sides.map((parts) => (parts.length > 1 ? `${parts[0]}, layer ${parts[1]}` : parts[0]));
  const both = sides.map((parts) => rowsOf(study, parts));
  const metrics = both[0].map((row) => row.metric).filter((metric) => both[1].some((row) => row.metric === metric));
  const asked = place.query.get("metric") ?? "", metric = metrics.includes(asked) ? asked : study.primary.metric;
  const { value: layers, error } = useLoaded("layers", () => layersOf(study));
  return (
    <main class="compare">
      <h1>{names[0]} <span>and</span> {names[1]}</h1>
      {metrics.length > 0 ? <Differences study={study} sides={sides} names={names} metrics={metrics} /> : <p class="faint">The study’s table has no row of both of them.</p>}
      {metrics.length > 1 && (
        <p class="filters"><label>spread and best units by <select aria-label="metric" value={metric} onChange={(event) => go(changed(place, { metric: event.currentTarget.value }), true)}>{metrics.map((one) => <option key={one}>{one}</option>)}</select></label><Term name={metric} mark /></p>
      )}
      {error && <p class="error" role="alert">{error}</p>}
      {!layers && !error && <p class="faint" aria-busy="true">Reading the layers …</p>}
      {layers && <Units study={study} sides={sides} names={names} layers={layers} metric={metric} />}
    </main>
  );
}

function Differences({ study, sides, names, metrics }: { study: Study; sides: [string[], string[]]; names: string[]; metrics: string[] }) {
  const [one, other] = sides.map((parts) => rowsOf(study, parts));
  const known = metrics.map((metric) => differenceOf(study, ...sides, metric));
  const facts: [string, (row: Row) => string][] = [["token share", (row) => number(row.token_share, 2)], ["fires", (row) => percent(row.firing_rate)], ["dead", (row) => percent(row.dead)]];
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Scores and their difference">
      <table class="means">
        <caption>Mean scores by <Term name={study.primary.explainer} />{known.includes(null) && "; differences without an interval are of the two means: this study has none for these two"}</caption>
        <thead><tr><th scope="col"><Term name="metric" /></th>{names.map((name) => <th key={name} scope="col" class="n">{name} [95%]</th>)}<th scope="col" class="n"><Term name="difference" /> [95%]</th></tr></thead>
        <tbody>
          {metrics.map((metric, at) => {
            const [a, b] = [one, other].map((rows) => rows.find((row) => row.metric === metric)!.score);
            return <tr key={metric}><th scope="row"><Term name={metric} /></th><td class="n"><Range value={a} /></td><td class="n"><Range value={b} /></td><td class="n">{known[at] ? <Range value={known[at]} /> : number(a.mean - b.mean)}</td></tr>;
          })}
          {facts.map(([name, text]) => <tr key={name}><th scope="row"><Term name={name} /></th><td class="n">{text(one[0])}</td><td class="n">{text(other[0])}</td><td /></tr>)}
        </tbody>
      </table>
    </div>
  );
}

function Units({ study, sides, names, layers, metric }: { study: Study; sides: string[][]; names: string[]; layers: Layer[]; metric: string }) {
  const { explainer } = study.primary;
  const colours = sides.map(([model], at) => (sides[0][0] === sides[1][0] ? at : study.models.findIndex((one) => one.name === model)));
  const score = (layer: Layer, unit: number) => layer.scores[explainer]?.[metric]?.[unit] ?? null;
  const lists = sides.map(([model, layer]) => layers.filter((one) => one.model === model && (layer === undefined || one.layer === Number(layer))));
  const groups = lists.map((all, at) => ({ name: names[at], colour: colours[at], scores: all.flatMap((layer) => (layer.scores[explainer]?.[metric] ?? []).filter((one) => one !== null)) }));
  return (
    <>
      <Spreads groups={groups} label={`Units by ${metric}`} />
      <p class="legend">{names.map((name, at) => <span key={name}><i class="swatch" style={{ background: COLOURS[colours[at] % 6] }} />{name}, {groups[at].scores.length.toLocaleString("en")} units</span>)}</p>
      <div class="sides">
        {lists.map((all, at) => {
          const hits = firstOf(all.map((layer) => ({ layer, units: Array.from({ length: layer.units }, (_, unit) => unit).filter((unit) => score(layer, unit) !== null) })), BEST, score);
          return (
            <section key={names[at]}>
              <h2><Link to={address(...sides[at])}>{names[at]}</Link> <small>the {hits.length} best units by {metric}</small></h2>
              <ol class="best">{hits.map((hit) => (
                <li key={unitAt(hit)}><Link to={unitAt(hit)}>{unitAt(hit).slice(1)}</Link><span class="n">{number(score(hit.layer, hit.unit), 2)}</span><span class="tokens">{topTokens(hit.layer, hit.unit).slice(0, 4).map((token) => <b key={token}>{marked(token)}</b>)}</span><Pin unit={unitAt(hit).slice(1)} /></li>
              ))}</ol>
            </section>
          );
        })}
      </div>
    </>
  );
}
