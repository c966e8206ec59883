// One unit: what it fires on, what is said of it and how well that holds, what it writes, who is like it.
import { Fragment } from "preact";
import { useMemo } from "preact/hooks";
import { Bookmark, NoteBox } from "./bookmark";
import { Histogram } from "./charts";
import { exported, get, useDocument, useLoaded } from "./data";
import { marked, number, percent, short } from "./format";
import { Term } from "./glossary";
import { Heatmap } from "./heatmap";
import { choice, ordered } from "./order";
import { address, changed, go, Link, OTHER_UNIT, type Place } from "./route";
import { Problem, said, useKeys } from "./shell";
import type { Excerpt, Judge, Layer, Study, Unit, Weights } from "./types";
import { Connected } from "./connected";
import { Pin } from "./pin";
import { OwnWords, Sentence, useOwn, withOwn } from "./own";
import { Scores } from "./scores";
import { CopyPicture } from "./share";
import { OnText, TextBox } from "./testbox";
import { recordedOf, recordedQuestion, WhyPanel } from "./why";

export function UnitPage({ study, place, judge }: { study: Study; place: Place; judge: Judge | null }) {
  const [model, layer, unit] = place.parts;
  const data = `/api/${encodeURIComponent(model)}/${layer}`;
  const { value, error } = useDocument<Unit>(`${data}/${unit}`);
  const list = useLoaded(data, () => get<Layer>(data)).value;
  const weights = useLoaded(`${data}/${unit}`, () => get<Weights>(`${data}/${unit}/weights`));
  const own = useOwn(model, layer, unit, place);
  const order = useMemo(() => (list ? ordered(list, choice(place, list)) : []), [list, place.query.toString()]);
  const at = order.indexOf(Number(unit));
  const beside = (by: number) => {
    const next = order[at + by];
    return next === undefined || at < 0 ? null : changed({ ...place, parts: [model, layer, String(next)] }, OTHER_UNIT);
  };
  useKeys({ j: () => { const to = beside(1); if (to) go(to); }, k: () => { const to = beside(-1); if (to) go(to); } });
  if (error) return <Problem message={error} />;
  if (!value || String(value.unit) !== unit || String(value.layer) !== layer || value.model !== model) return <main class="wait" aria-busy="true">Reading the unit …</main>;
  return (
    <main class="unit-page">
      <header class="bar">
        <h1>{value.model}<span>/{value.layer}/{value.unit}</span></h1>
        <nav aria-label="Units">
          {beside(-1) ? <Link to={beside(-1)!} rel="prev">← previous</Link> : <span class="faint">← previous</span>}
          {beside(1) ? <Link to={beside(1)!} rel="next">next →</Link> : <span class="faint">next →</span>}
        </nav>
        <Pin unit={`${value.model}/${value.layer}/${value.unit}`} />
        <Bookmark unit={`${value.model}/${value.layer}/${value.unit}`} />
        <CopyPicture unit={value} study={study} />
        {!exported && <Link class="action" to={tryIt(value)}>Turn it up</Link>}
      </header>
      <NoteBox unit={`${value.model}/${value.layer}/${value.unit}`} />
      <div class="columns">
        <div><Explanations unit={value} judge={judge} />{!exported && <Test unit={value} place={place} />}{!exported && <OwnWords unit={value} place={place} primary={study.primary} loaded={own} />}
          <Excerpts unit={withOwn(value, own.value)} place={place} />
          {!exported && <Sentence key={`${data}/${unit}`} model={model} layer={value.layer} unit={value.unit} reader={study.reader} metric={study.primary.metric} />}
        </div>
        <aside>
          <Scores scores={value.scores} judge={judge} />
          <Facts unit={value} />
          {!exported && <Connected key={`${data}/${unit}`} model={model} data={`${data}/${unit}/connections`} />}
          {weights.error ? <p class="faint">{weights.error}</p> : !weights.value ? <p class="faint" aria-busy="true">Opening the model …</p> : <Written unit={value} weights={weights.value} list={list} />}
        </aside>
      </div>
    </main>
  );
}

/** Whether the unit fires on one's own text, without leaving its page. */
function Test({ unit, place }: { unit: Unit; place: Place }) {
  const text = place.query.get("test") ?? "";
  return (
    <section class="own">
      <TextBox text={text} change={(test) => go(changed(place, { test: test || null }), true)} label="Does it fire on your sentence? Type one" />
      <OnText model={unit.model} layer={unit.layer} unit={unit.unit} text={text} />
    </section>
  );
}

function tryIt(unit: Unit): string {
  const most = unit.statistics[unit.explained_on]?.maximum ?? 1;
  const clamp = `${unit.layer}/${unit.unit}=${Number(((most || 1) * 2).toPrecision(2))}`;
  return `/try?${new URLSearchParams({ model: unit.model, unit: `${unit.layer}/${unit.unit}`, clamp })}`;
}

export const Explanations = ({ unit, judge }: { unit: Unit; judge: Judge | null }) => (
  <section class="explanations">
    {Object.entries(unit.explanations).map(([name, text]) => <p key={name}><b><Term name={name}>{said(name, judge)}</Term></b> {text}</p>)}
    {judge && unit.explanations[judge.explainer] && <p class="faint">{judge.told}</p>}
  </section>
);

function Excerpts({ unit, place }: { unit: Unit; place: Place }) {
  const kinds = [...new Set(unit.excerpts.map((one) => `${one.kind}/${one.length}`))];
  const halves = [...new Set(unit.excerpts.map((one) => one.half))];
  const explainers = Object.keys(unit.excerpts[0]?.simulated ?? {});
  const pick = (name: string, all: string[], otherwise?: string) => {
    const asked = place.query.get(name) ?? "";
    return all.includes(asked) ? asked : otherwise && all.includes(otherwise) ? otherwise : all[0] ?? "";
  };
  const kind = pick("kind", kinds), half = pick("half", halves, unit.scored_on), explainer = pick("by", explainers);
  const shown = unit.excerpts.filter((one) => `${one.kind}/${one.length}` === kind && one.half === half);
  const highest = Math.max(...unit.excerpts.flatMap((one) => one.activations), 0);
  const most = Math.max(...unit.excerpts.flatMap((one) => one.simulated[explainer] ?? []), 0);
  const asked = exported ? null : recordedOf(place);
  const matches = (one: Excerpt) => !!asked && recordedQuestion(one, asked.position - one.place - 1) === place.query.get("why");
  const under = shown.findIndex(matches);
  const from = unit.excerpts.find(matches);
  const panel = asked && <WhyPanel key={place.query.get("why")} model={unit.model} layer={unit.layer} unit={unit.unit} asked={asked} place={place} recorded={from?.activations[asked.position - from.place - 1]} />;
  const choose = (name: string, all: string[], now: string, say: (one: string) => string) => (
    <div class="choose" role="group" aria-label={name}>
      {all.map((one) => <button key={one} aria-pressed={one === now} onClick={() => go(changed(place, { [name]: one }), true)}>{say(one)}</button>)}
    </div>
  );
  return (
    <section class="excerpts">
      <div class="filters">
        {choose("kind", kinds, kind, (one) => one.replace("/", " ") + " tokens")}<Term name={`${kind.split("/")[0]} excerpts`} mark />
        {choose("half", halves, half, (one) => `${one} half`)}<Term name={`${half} half`} mark />
        {choose("by", explainers, explainer, (one) => `by ${one}`)}<Term name={explainer} mark />
      </div>
      <p class="scale" aria-hidden="true"><span class="ramp" />activation 0 to {short(highest)}<span class="ramp below" />expected 0 to {short(most)}, under each token{!exported && <span class="hint">Click a token: why did it fire there?</span>}</p>
      {shown.length === 0 && <p class="faint">{unit.excerpts.length ? "There are no such excerpts." : "This unit was set aside: nothing of it was recorded."}</p>}
      {asked && under < 0 && panel}
      {shown.map((one, at) => (
        <Fragment key={at}>
          <Row unit={unit} excerpt={one} explainer={explainer} highest={highest} most={most} place={place} asked={at === under ? asked!.position - one.place - 1 : undefined} />
          {at === under && panel}
        </Fragment>
      ))}
    </section>
  );
}

function Row({ unit, excerpt, explainer, highest, most, place, asked }: { unit: Unit; excerpt: Excerpt; explainer: string; highest: number; most: number; place: Place; asked?: number }) {
  const ask = (at: number) => go(changed(place, { why: recordedQuestion(excerpt, at), path: null }), false, true);
  const top = Math.max(...excerpt.activations), r = excerpt.correlation[explainer];
  return (
    <article class="excerpt">
      <p class="meta">
        {excerpt.interval >= 0 && <span>part {excerpt.interval + 1}</span>}
        <span title="highest activation">max {short(top)}</span>
        <span title="Pearson's r of activation and expectation on this excerpt">r {number(r, 2)}</span>
        <span class="faint">doc {excerpt.document}</span>
      </p>
      <Heatmap texts={excerpt.tokens.map((token) => unit.texts[token])} truth={excerpt.activations} expected={excerpt.simulated[explainer]}
        highest={highest} most={most} asked={asked} ask={exported ? undefined : ask} label={`Excerpt, highest activation ${short(top)}, correlation ${number(r, 2)}`} />
    </article>
  );
}

function Facts({ unit }: { unit: Unit }) {
  const at = unit.statistics[unit.scored_on];
  return (
    <section>
      <h2>Activations <small>{unit.scored_on} half</small></h2>
      <Histogram counts={at.histogram} label="tokens by activation, root scale" from="0" to={short(at.maximum)} />
      <dl class="facts">
        <dt><Term name="fires">fires on</Term></dt><dd>{percent(at.firing_rate)} of tokens</dd>
        <dt>mean, <Term name="max">maximum</Term></dt><dd>{short(at.mean)}, {short(at.maximum)}</dd>
        <dt>skewness, kurtosis</dt><dd>{short(at.skewness)}, {short(at.kurtosis)}</dd>
        <dt><Term name="token share" /></dt><dd>{number(at.token_share, 2)}</dd>
        <dt><Term name="position share" /></dt><dd>{number(at.position_share, 2)}</dd>
        {unit.context && <LastTokens context={unit.context} />}
        <dt>site</dt><dd><code>{unit.site}</code></dd>
      </dl>
    </section>
  );
}

/** r2 by the number of last tokens that the model reads: a bar each, and the smallest number that is enough. */
function LastTokens({ context }: { context: NonNullable<Unit["context"]> }) {
  const { last, r2, reach } = context;
  const told = last.map((k, at) => `${k}: ${number(r2[at], 2)}`).join(", ");
  return (
    <>
      <dt><Term name="r2 with the last k tokens">r² by last tokens</Term></dt>
      <dd title={told}>
        <svg width={last.length * 7} height={14} role="img" aria-label={`r2 with the last k tokens: ${told}`}>
          {r2.map((one, at) => <rect key={at} x={at * 7} y={13 - 13 * (one ?? 0)} width={6} height={1 + 13 * (one ?? 0)} fill="currentColor" />)}
        </svg>
      </dd>
      <dt><Term name="reach" /></dt><dd>{reach ?? `more than ${last[last.length - 1]}`} tokens</dd>
    </>
  );
}

function Written({ unit, weights, list }: { unit: Unit; weights: Weights; list?: Layer }) {
  const column = (name: string, rows: Weights["raised"]) => (
    <ol class="written" aria-label={`${name} tokens`}><li class="faint">{name}</li>{rows!.map((one, at) => <li key={at}><b>{marked(one.token)}</b><span>{short(one.effect)}</span></li>)}</ol>
  );
  const explained = Object.values(list?.sentences ?? {})[0];
  return (
    <>
      <section>
        <h2>Next tokens <small>by its weights</small></h2>
        {weights.raised && weights.lowered
          ? <><div class="two">{column("raises", weights.raised)}{column("lowers", weights.lowered)}</div>
              <p class="faint">Logits for each unit of activation, through the unembedding alone; layers between are left out.</p></>
          : <p class="faint">Not known for this kind of model. {exported ? "" : "Turn it up to see what it does."}</p>}
      </section>
      {weights.neighbours && (
        <section>
          <h2>Neighbours <small>by cosine</small></h2>
          <ol class="neighbours">
            {weights.neighbours.map((one) => (
              <li key={one.unit}><Link to={address(unit.model, unit.layer, one.unit)}>{one.unit}</Link><span>{number(one.cosine, 2)}</span><span class="faint">{explained?.[one.unit]}</span></li>
            ))}
          </ol>
        </section>
      )}
    </>
  );
}
