// Why did it fire here? A unit's activation on one token, taken apart: by token, by contributor, and as a drawing.
import { useEffect, useRef, useState } from "preact/hooks";
import { post, useLoaded } from "./data";
import { Drawing } from "./drawing";
import { isBytes, marked, short, visible } from "./format";
import { address, changed, go, Link, NO_WHY, type Place } from "./route";
import { useKeys } from "./shell";
import type { Contributor, Excerpt, Part, Trace, Why, Without } from "./types";

/** A position of what the model reads, its start token being 0, and the text: one's own, or a piece of the recorded one. */
export interface Question { position: number; text: string | null; half: string | null; start: number | null; count: number | null }
interface Step { layer: number; unit: number; position: number }

/** The question about a token of an excerpt as it stands in the address; the model reads the excerpt's context up to its end. */
export const recordedQuestion = (one: Excerpt, at: number): string => [one.half, one.start - one.place, one.place + one.length, one.place + at + 1].join(".");

export function recordedOf(place: Place): Question | null {
  const found = place.query.get("why")?.match(/^(\w+)\.(\d{1,12})\.(\d{1,6})\.(\d{1,6})$/);
  return found ? { text: null, half: found[1], start: Number(found[2]), count: Number(found[3]), position: Number(found[4]) } : null;
}

export function typedOf(place: Place, text: string): Question | null {
  const found = place.query.get("why")?.match(/^\d{1,6}$/);
  return found ? { text, half: null, start: null, count: null, position: Number(found[0]) } : null;
}

/** The contributors that were followed, as the address has them: 0.12.38_… */
const followed = (place: Place): Step[] =>
  [...(place.query.get("path") ?? "").matchAll(/(\d{1,4})\.(\d{1,9})\.(\d{1,6})/g)].map(([, layer, unit, position]) => ({ layer: Number(layer), unit: Number(unit), position: Number(position) }));

const written = (steps: Step[]): string => steps.map((one) => `${one.layer}.${one.unit}.${one.position}`).join("_");

const shareOf = (part: Part): string => (part.share === null ? "–" : `${(100 * part.share).toFixed(1)}%`.replace("-", "−"));

interface Asked { model: string; layer: number; unit: number; asked: Question; place: Place; recorded?: number }

export function WhyPanel({ model, layer, unit, asked, place, recorded }: Asked) {
  const steps = [{ layer, unit, position: asked.position }, ...followed(place)];
  const last = steps[steps.length - 1];
  const body = { ...asked, model, ...last };
  const key = JSON.stringify(body);
  const { value, error } = useLoaded(key, () => post<Why>("/api/try/why", body).then((found) => ({ found, key })));
  const found = value?.key === key ? value.found : undefined;
  const to = (path: Step[]) => changed(place, { path: written(path.slice(1)) });
  const close = () => {
    document.querySelector<HTMLElement>(".heat:has(.asked)")?.focus({ preventScroll: true });
    go(changed(place, NO_WHY), false, true);
  };
  const heading = useRef<HTMLHeadingElement>(null);
  useKeys({ Escape: () => { if (!document.querySelector(".help, .meaning:popover-open")) close(); } }); // what lies above closes first
  useEffect(() => { if (found ?? error) { heading.current?.focus({ preventScroll: true }); heading.current?.scrollIntoView({ block: "nearest" }); } }, [found, error]);
  return (
    <section class="why" aria-label="Why did it fire here?">
      <header><h3 tabIndex={-1} ref={heading}>Why did it fire here?</h3><button onClick={close} aria-label="Close">×</button></header>
      <Steps steps={steps} to={to} tokens={value?.found.tokens} model={model} />
      {error && <p class="error" role="alert">{error}</p>}
      {!error && !found && <p class="faint" aria-busy="true">Reading the text …</p>}
      {!error && found && <Answer key={key} why={found} body={body} follow={(step) => to([...steps, step])} through={(path) => to([...steps, ...path])} recorded={steps.length === 1 ? recorded : undefined} />}
    </section>
  );
}

const Steps = ({ steps, to, tokens, model }: { steps: Step[]; to: (path: Step[]) => string; tokens?: string[]; model: string }) => (
  <nav class="steps" aria-label="What was followed">
    {steps.map((one, at) => {
      const name = <>{model}/{one.layer}/{one.unit}{tokens?.[one.position] !== undefined && <> on <b>{marked(tokens[one.position])}</b></>}</>;
      return <span key={at}>{at > 0 && <i>fed by</i>}{at + 1 < steps.length ? <Link stay to={to(steps.slice(0, at + 1))}>{name}</Link> : <strong aria-current="step">{name}</strong>}</span>;
    })}
  </nav>
);

interface Answered { why: Why; body: Record<string, unknown> & { model: string }; follow: (step: Step) => string; through: (path: Step[]) => string; recorded?: number }

function Answer({ why, body, follow, through, recorded }: Answered) {
  const first = why.traces[0], { activation, layer, unit } = why.target;
  const fires = (activation ?? 0) > 0, same = Math.abs(first.value - (activation ?? 0)) <= 1e-3 * Math.abs(first.value);
  const apart = recorded !== undefined && Math.abs(recorded - (activation ?? 0)) > 0.02 * Math.max(Math.abs(recorded), Math.abs(activation ?? 0), 1e-6);
  return (
    <>
      <p class="faint said-of">{why.said[`${layer}/${unit}`]?.explanation}</p>
      <p>
        {fires ? <>Activation <b>{short(activation)}</b>{!same && <>, pre-activation <b>{short(first.value)}</b></>}.</> : <>It does not fire here: its {same ? "activation" : "pre-activation"} is <b>{short(first.value)}</b>, and all parts add up to −100%.</>}
        {apart && <> The recording has {short(recorded)} here.</>}
      </p>
      <p class="faint">Which tokens did it: a token’s colour is what it and the units on it contribute; blue holds down.</p>
      <Words why={why} first={first} />
      <p class="faint">Its strongest contributors: earlier units and tokens.</p>
      <Contributors why={why} first={first} body={body} follow={follow} />
      <Drawing why={why} follow={through} />
      <p class="faint">The parts are an exact sum for this text: attention weights, norms and active units are held at their values here. <em>Turn off</em> sets a contributor to zero in the model as it is, with nothing held, so the real change can be another than its part.</p>
    </>
  );
}

/** The text up to the position, coloured by what each token and all units on it contribute together. */
function Words({ why, first }: { why: Why; first: Trace }) {
  const highest = Math.max(...why.positions.map(Math.abs), 1e-12), size = Math.abs(first.value) || NaN;
  const end = first.node.position + 1;
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => { if (box.current) box.current.scrollTop = box.current.scrollHeight; }, []);
  return (
    <div class="words" ref={box} tabIndex={0} role="group" aria-label="What each token of the text contributes">
      {why.tokens.slice(0, end).map((token, at) => (
        <span key={at} dir="auto" class={`w${why.positions[at] < 0 ? " less" : ""}${isBytes(token) ? " bytes" : ""}${at + 1 === end ? " asked" : ""}`} style={{ "--a": Math.abs(why.positions[at]) / highest }}
          title={`${marked(token)}, position ${at}: ${(100 * why.positions[at] / size).toFixed(1)}%`}>{visible(token)}</span>
      ))}
    </div>
  );
}

function Contributors({ why, first, body, follow }: { why: Why; first: Trace; body: Answered["body"]; follow: (step: Step) => string }) {
  const highest = Math.max(...[...first.contributors, first.others, first.constant].map((one) => Math.abs(one.contribution)), 1e-12);
  const whole = [...first.contributors, first.others, first.constant].reduce((sum, one) => sum + (one.share ?? NaN), 0);
  const bar = (part: Part) => <i class={part.contribution < 0 ? "less" : ""} style={{ "--a": Math.abs(part.contribution) / highest }} />;
  return (
    <ol class="parts" aria-label="Contributors">
      {first.contributors.map((one) => (
        <li key={`${one.kind} ${one.layer}/${one.unit} ${one.position}`}>
          <span class="n">{shareOf(one)}</span>{bar(one)}
          <span class="who"><Named why={why} one={one} model={body.model} follow={follow} /></span>
          <Off one={one} body={body} first={first} />
        </li>
      ))}
      <li class="rest"><span class="n">{shareOf(first.others)}</span>{bar(first.others)}<span class="who">all others together</span></li>
      <li class="rest"><span class="n">{shareOf(first.constant)}</span>{bar(first.constant)}<span class="who">constant: biases and thresholds</span></li>
      <li class="sum"><span class="n">{shareOf({ share: Number.isFinite(whole) ? whole : null, contribution: 0 })}</span><span /><span class="who">together, {short(first.value)}</span></li>
    </ol>
  );
}

function Named({ why, one, model, follow }: { why: Why; one: Contributor; model: string; follow: (step: Step) => string }) {
  const token = <b>{marked(why.tokens[one.position])}</b>;
  if (one.kind === "position") return <>the position {one.position}</>;
  if (one.kind === "token") return <>the token {token} itself <small>position {one.position}{way(one)}</small></>;
  if (one.kind === "error") return <>what the autoencoder of layer {one.layer} misses on {token} <small>position {one.position}{way(one)}</small></>;
  const said = why.said[`${one.layer}/${one.unit}`];
  return (
    <>
      <Link stay to={follow(one)} aria-label={`Why did ${one.layer}/${one.unit} fire on ${marked(why.tokens[one.position])}?`}>{one.layer}/{one.unit}</Link> on {token}
      <small> position {one.position}{way(one)}</small> <Link class="page" to={address(model, one.layer, one.unit)} aria-label={`Page of unit ${one.layer}/${one.unit}`}>→</Link>
      {said && <span class="faint explanation" title={said.explanation ?? ""}>{said.top !== null && <b title="the token that it fires most on">{marked(said.top)}</b>}{said.explanation}</span>}
    </>
  );
}

const way = (one: Contributor): string => (one.direct === one.contribution ? "" : Math.abs(one.direct) < 0.05 * Math.abs(one.contribution) ? ", by attention" : Math.abs(one.direct - one.contribution) < 0.05 * Math.abs(one.contribution) ? "" : ", partly by attention");

/** A contributor turned off in the model itself: what was predicted, and what it comes to. */
function Off({ one, body, first }: { one: Contributor; body: Answered["body"]; first: Trace }) {
  const [asked, ask] = useState(false);
  const without = { ...body, of_kind: one.kind, of_layer: one.layer, of_unit: one.unit, of_position: one.position };
  const { value: found, error } = useLoaded(asked ? "off" : null, () => post<Without>("/api/try/without", without));
  if (!asked) return <button onClick={() => ask(true)}>Turn off</button>;
  const value = first.value, between = first.node.layer - one.layer > 1;
  const change = (to: number) => `${to >= value ? "+" : ""}${short(to - value)}`;
  return (
    <output class="off" aria-live="polite">
      {error ?? (found ? <>{short(value)} → <b>{short(found.after)}</b> <small>changes by {change(found.after)}, predicted {change(found.predicted)}{between && <> without the units between, which it changes too</>}</small></> : "…")}
    </output>
  );
}
