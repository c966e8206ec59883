// The study's mean scores: by metric, models in neighbouring rows, with the difference between them.
import { Fragment } from "preact";
import { differenceOf, layerComparison } from "./differences";
import { number, percent } from "./format";
import { Term } from "./glossary";
import { address, changed, go, Link, type Place } from "./route";
import { shows, type Difference, type Estimate, type Row, type Study } from "./types";

export const Range = ({ value }: { value: Estimate }) => <>{number(value.mean)} <small>[{number(value.low)}, {number(value.high)}]</small></>;
const scoreBy = (row: Row, explainer: string) => (row as unknown as Record<string, Estimate | undefined>)[explainer];

export function Means({ study, place }: { study: Study; place: Place }) {
  const { rows, differences } = study.report;
  const { explainer } = study.primary;
  const whole = place.query.get("columns") === "all";
  // The scores of other explainers stand in a row under the explainers' names.
  const beside = study.models[0].explainers.filter((name) => name !== explainer && rows.length > 0 && name in rows[0]);
  const compared = rows.some((row) => row.random_weights);
  const metrics = [...new Set(rows.map((row) => row.metric))];
  const layers = [...new Set(rows.map((row) => row.layer))].sort((a, b) => Number(b === "all") - Number(a === "all"));
  const more = whole && <>{beside.map((name) => <th key={name} scope="col" class="n"><Term name={name} /></th>)}{compared && <th scope="col" class="n"><Term name="random weights" /></th>}<th scope="col" class="n"><Term name="ceiling" /></th><th scope="col" class="n"><Term name="fires" /></th><th scope="col" class="n"><Term name="dead" /></th></>;
  const cells = (row: Row) => whole && <>{beside.map((name) => <td key={name} class="n">{number(scoreBy(row, name)?.mean)}</td>)}{compared && <td class="n">{number(row.random_weights?.mean)}</td>}<td class="n">{number(row.ceiling)}</td><td class="n">{percent(row.firing_rate)}</td><td class="n">{percent(row.dead)}</td></>;
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Mean scores">
      <table class="means">
        <caption>Mean scores; a layer’s number leads to its units <button type="button" aria-pressed={whole} onClick={() => go(changed(place, { columns: whole ? null : "all" }), true, true)}>all columns</button></caption>
        <thead><tr><th scope="col">layer</th><th scope="col">model</th><th scope="col" class="n"><Term name={explainer} /> [95%]</th><th scope="col" class="n"><Term name="difference" /> [95%]</th><th scope="col" class="n"><Term name="shuffled" /></th><th scope="col" class="n"><Term name="token share" /></th>{more}</tr></thead>
        {metrics.map((metric) => {
          const of = rows.filter((row) => row.metric === metric);
          const apart = differences.filter((one) => one.metric === metric && one.explainer === explainer);
          return (
            <tbody key={metric}>
              <tr class="metric"><th scope="rowgroup" colSpan={20}><Term name={metric} /> <Endpoint differences={apart} /></th></tr>
              {layers.map((layer) => (
                <Fragment key={layer}>
                  {of.filter((row) => row.layer === layer).map((row) => (
                    <tr key={row.model} class={layer === "all" ? "all" : ""}>
                      <td><LayerName study={study} row={row} /></td><td>{row.model}</td><td class="n"><Range value={row.score} /></td>
                      <td class="n">{layer === "all" ? apart.filter((one) => one.rival === row.model).map((one) => <Against key={one.model} model={one.model} row={row} value={one.difference} />) : <LayerDifference study={study} row={row} first={of.find((one) => one.layer === layer)!} />}</td>
                      <td class="n">{number(row.shuffled?.mean)}</td><td class="n">{number(row.token_share)}</td>{cells(row)}
                    </tr>
                  ))}
                </Fragment>
              ))}
            </tbody>
          );
        })}
      </table>
    </div>
  );
}

/** A difference, whose words lead to the comparison of the two. */
function Against({ model, row, value }: { model: string; row: Row; value: Estimate | null }) {
  const [a, b] = [model, row.model].map((name) => (row.layer === "all" ? name : `${name}/${row.layer}`));
  return <div><small><Link to={layerComparison(a, b, row.metric)}>{model} − {row.model}</Link></small>{value && <> <Range value={value} /></>}</div>;
}

/** How much higher the same layer of the first model scores; no number where the report has none with an interval. */
function LayerDifference({ study, row, first }: { study: Study; row: Row; first: Row }) {
  if (first.model === row.model) return null;
  const at = String(row.layer), value = differenceOf(study, [first.model, at], [row.model, at], row.metric);
  return <Against model={first.model} row={row} value={value} />;
}

function Endpoint({ differences }: { differences: Difference[] }) {
  if (differences.some((one) => one.primary)) return <b class="endpoint"><Term name="primary endpoint" /></b>;
  return differences.some((one) => one.second) ? <small>second endpoint</small> : null;
}

function LayerName({ study, row }: { study: Study; row: Row }) {
  if (row.layer === "all") return <>all</>;
  if (!shows(study.models.find((model) => model.name === row.model), row.layer)) return <>layer {row.layer}</>;
  return <Link to={`${address(row.model, row.layer)}?metric=${encodeURIComponent(row.metric)}`}>layer {row.layer}</Link>;
}
