// A layer: all its units as one list that sorts, filters and searches; only the rows in sight are on the page.
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { Dot, Histogram } from "./charts";
import { exported, useDocument, useLoaded } from "./data";
import { csv, save, type Cell } from "./files";
import { Counts, Nothing } from "./find";
import { Term } from "./glossary";
import { marked, number, percent, short } from "./format";
import { NearestUnits } from "./nearest";
import { choice, ordered, statusOf, type Choice } from "./order";
import { address, changed, go, href, leave, left, Link, type Place } from "./route";
import { Problem, said, useKeys } from "./shell";
import { found } from "./search";
import { topTokens } from "./toptokens";
import { WAYS } from "./ways";
import type { Judge, Layer, Study } from "./types";

const HEIGHT = 34;

export function LayerPage({ study, place, judge }: { study: Study; place: Place; judge: Judge | null }) {
  const [model, number_] = place.parts;
  const { value: layer, error } = useDocument<Layer>(`/api/${encodeURIComponent(model)}/${number_}`);
  if (error) return <Problem message={error} />;
  if (!layer) return <main class="wait" aria-busy="true">Reading the layer …</main>;
  return <Units study={study} layer={layer} place={place} judge={judge} />;
}

function Units({ study, layer, place, judge }: { study: Study; layer: Layer; place: Place; judge: Judge | null }) {
  const asked = choice(place, layer);
  const units = useMemo(() => ordered(layer, asked), [layer, place.query.toString()]);
  const status = useMemo(() => statusOf(layer, asked), [layer, asked.explainer, asked.metric]);
  const [selected, select] = useState(left().chosen ?? 0);
  const scores = layer.scores[asked.explainer]?.[asked.metric] ?? [];
  const query = place.query.toString();
  const to = (unit: number) => `${address(layer.model, layer.layer, unit)}${query ? `?${query}` : ""}`;
  const list = useRef<HTMLDivElement>(null);
  const change = (changes: Record<string, string | null>) => go(changed(place, changes), true);
  const step = (by: number) => {
    const next = Math.max(0, Math.min(units.length - 1, selected + by));
    select(next);
    const box = list.current;
    if (box && (next * HEIGHT < box.scrollTop || (next + 2) * HEIGHT > box.scrollTop + box.clientHeight)) box.scrollTop = (next - 3) * HEIGHT;
  };
  const asList = useRef(query);
  useLayoutEffect(() => { if (asList.current !== query) { asList.current = query; select(0); } }, [query]); // before the next key can come
  useEffect(() => leave({ chosen: selected }), [selected]);
  const open = (unit: number, at: number) => { leave({ chosen: at, list: list.current?.scrollTop ?? 0 }); go(to(unit)); };
  useKeys({ j: () => step(1), k: () => step(-1), Enter: () => units.length && open(units[selected], selected) });
  const heading = (sort: string, text: string, term = text) => (
    <span role="columnheader" class={sort === "unit" ? "" : "n"} aria-sort={asked.sort === sort ? (asked.descending ? "descending" : "ascending") : "none"}>
      <button onClick={() => change({ sort, order: asked.sort === sort && asked.descending ? "up" : null })}>
        {text}{asked.sort === sort ? (asked.descending ? " ↓" : " ↑") : ""}
      </button>
      <Term name={term} mark />
    </span>
  );
  return (
    <main class="layer-page">
      <header class="bar">
        <h1>{layer.model} <span>layer {layer.layer}</span></h1>
        <code class="faint">{layer.site}</code>
        <button type="button" title="The list as it is here: filtered and sorted" onClick={() => save(`${layer.model}-${layer.layer}.csv`, csv(tableOf(layer, units, asked)))}>Save as CSV</button>
        <Spread scores={scores} metric={asked.metric} />
      </header>
      <form class="filters" onSubmit={(event) => event.preventDefault()}>
        <input id="search" type="search" placeholder="search explanations and top tokens  ( / )" aria-label="Search explanations and top tokens" dir="auto" maxLength={200}
          value={place.query.get("q") ?? ""} onInput={(event) => change({ q: event.currentTarget.value || null })} />
        <label>explainer <select value={asked.explainer} onChange={(event) => change({ explainer: event.currentTarget.value })}>
          {Object.keys(layer.scores).map((name) => <option key={name} value={name}>{said(name, judge)}</option>)}</select></label><Term name={asked.explainer} mark />
        <label>metric <select value={asked.metric} onChange={(event) => change({ metric: event.currentTarget.value })}>
          {Object.keys(layer.scores[asked.explainer] ?? {}).map((name) => <option key={name}>{name}</option>)}</select></label><Term name={asked.metric} mark />
        <label>show <select value={asked.only} onChange={(event) => change({ only: event.currentTarget.value })}>
          <option value="">all units</option>{["scored", "dead", "silent", "constant", "failed", "one-sided"].map((name) => <option key={name}>{name}</option>)}</select></label><Term name={asked.only} mark />
        <output>{units.length.toLocaleString("en")} of {layer.units.toLocaleString("en")} units</output>
      </form>
      {study.search && !exported && <NearestUnits model={layer.model} layer={layer.layer} question={place.query.get("q") ?? ""} />}
      {WAYS[asked.way] && <p class="counts">Only what {WAYS[asked.way].title}. {WAYS[asked.way].says} <Link to={changed(place, { way: null })}>Show all</Link></p>}
      {asked.search && <Elsewhere study={study} place={place} layer={layer} />}
      {judge && asked.explainer === judge.explainer && <p class="faint">{judge.told}</p>}
      <div class="table" role="table" aria-label={`Units of ${layer.model}, layer ${layer.layer}`} aria-rowcount={units.length + 1}>
        <div class="head" role="row">
          {heading("unit", "unit")}{heading("score", "score")}<span role="columnheader"><span class="hidden">score as a bar</span></span>{heading("fires", "fires")}{heading("maximum", "max")}{heading("token", "token share")}
          <span role="columnheader" class="wide">top tokens</span><span role="columnheader" class="wider">explanation</span>
        </div>
        <Rows box={list} count={units.length}>
          {(at) => {
            const unit = units[at];
            return (
              <div key={unit} role="row" aria-rowindex={at + 2} class={"unit" + (at === selected ? " selected" : "")} style={{ top: `${at * HEIGHT}px` }}
                onClick={(event) => { if (!(event.ctrlKey || event.metaKey || event.shiftKey)) { event.preventDefault(); event.stopPropagation(); open(unit, at); } }}>
                <span role="cell"><a href={href(to(unit))}>{unit}</a></span>
                <span role="cell" class="n">{status.has(unit) ? <em>{status.get(unit)}</em> : number(scores[unit])}</span>
                <span role="cell"><Dot score={status.has(unit) ? null : scores[unit] ?? null} low={null} high={null} /></span>
                <span role="cell" class="n">{percent(layer.firing[unit])}</span>
                <span role="cell" class="n">{short(layer.maximum[unit])}</span>
                <span role="cell" class="n">{number(layer.token_share[unit], 2)}</span>
                <span role="cell" class="wide tokens">{(layer.tokens[unit] ?? []).map((token) => <b key={token}>{marked(layer.texts[token])}</b>)}</span>
                <span role="cell" class="wider faint">{layer.sentences[asked.explainer]?.[unit]}</span>
              </div>
            );
          }}
        </Rows>
      </div>
    </main>
  );
}

/** The list as rows of a table, with the numbers as the server gave them. */
function tableOf(layer: Layer, units: number[], { explainer, metric }: Choice): Cell[][] {
  const scores = layer.scores[explainer]?.[metric] ?? [], status = statusOf(layer, { explainer, metric });
  const reach = (at: number | null) => (at === null ? null : layer.last[at] ?? `>${layer.last[layer.last.length - 1]}`);
  return [
    ["unit", "explainer", "metric", "score", "status", "fires", "maximum", "token_share", "reach", "top_tokens", "explanation"],
    ...units.map((unit) => [
      `${layer.model}/${layer.layer}/${unit}`, explainer, metric, scores[unit], status.get(unit) ?? "scored", layer.firing[unit], layer.maximum[unit], layer.token_share[unit],
      reach(layer.reach[unit]), JSON.stringify(topTokens(layer, unit)), layer.sentences[explainer]?.[unit],
    ]),
  ];
}

/** How many units the search finds here and in the other layers. */
function Elsewhere({ study, place, layer }: { study: Study; place: Place; layer: Layer }) {
  const { value } = useLoaded(place.query.toString(), () => found(study, place), 200);
  const none = value?.every((one) => one.units.length === 0);
  if (!value) return <p class="counts" aria-busy="true">Counting in all layers …</p>;
  return none ? <Nothing study={study} words={(place.query.get("q") ?? "").trim()} /> : <Counts all={value} place={place} here={`${layer.model} / layer ${layer.layer}`} />;
}

function Rows({ box, count, children }: { box: { current: HTMLDivElement | null }; count: number; children: (at: number) => preact.VNode }) {
  const [top, setTop] = useState(0);
  const shown = Math.ceil((box.current?.clientHeight ?? 900) / HEIGHT) + 16;
  useLayoutEffect(() => { const from = left().list; if (from && box.current) box.current.scrollTop = from; }, []);
  const first = Math.max(0, Math.min(Math.floor(top / HEIGHT) - 8, count - shown));
  return (
    <div class="rows" role="rowgroup" ref={box} onScroll={(event) => setTop(event.currentTarget.scrollTop)}>
      <div class="all" style={{ height: `${count * HEIGHT}px` }}>
        {Array.from({ length: Math.max(0, Math.min(shown, count - first)) }, (_, at) => children(first + at))}
      </div>
      {count === 0 && <p class="faint">No unit matches.</p>}
    </div>
  );
}

function Spread({ scores, metric }: { scores: (number | null)[]; metric: string }) {
  const counts = new Array(40).fill(0);
  for (const score of scores) if (score !== null) counts[Math.max(0, Math.min(39, Math.floor(20 * (score + 1))))] += 1;
  return <Histogram counts={counts} label={`units by ${metric} score`} from="−1" to="1" />;
}
