// Which units of the layer below feed a unit, and which of the layer above it feeds, on average over recorded text.
import { get, useLoaded } from "./data";
import { marked, short } from "./format";
import { address, Link } from "./route";
import type { Connections } from "./types";

export function Connected({ model, data }: { model: string; data: string }) {
  // A moment's wait, since the model runs: whoever leafs through units asks for none of those between.
  const { value, error } = useLoaded(data, () => get<Connections>(data), 300);
  return (
    <section class="connected">
      <h2>Connections {value && <small>mean over {value.tokens.toLocaleString("en")} tokens</small>}</h2>
      {error ? <p class="faint">{error}</p> : !value && <p class="faint" aria-busy="true">Reading the text …</p>}
      {value?.fed_by && <List name="fed by" rows={value.fed_by} model={model} />}
      {value?.feeds && <List name="feeds" rows={value.feeds} model={model} />}
      {value && <p class="faint">What is added to a token’s pre-activation on average, and the weight without attention.</p>}
    </section>
  );
}

const List = ({ name, rows, model }: { name: string; rows: NonNullable<Connections["feeds"]>; model: string }) => (
  <ol aria-label={name}>
    <li class="faint"><span>{name}</span><span class="n">adds</span><span class="n">weight</span></li>
    {rows.map((one) => (
      <li key={one.unit}>
        <Link to={address(model, one.layer, one.unit)}>{one.layer}/{one.unit}</Link><span class="n">{short(one.contribution)}</span><span class="n">{short(one.weight)}</span>
        <span class="faint" title={one.explanation ?? ""}>{one.top !== null && <b>{marked(one.top)}</b>}{one.explanation}</span>
      </li>
    ))}
  </ol>
);
