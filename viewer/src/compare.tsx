// Two things next to each other. Two units: what is said of them, how well it holds, where they fire, and one text
// under both. Two layers, or two models: comparelayers.tsx.
import { exported, useDocument } from "./data";
import { short } from "./format";
import { Heatmap } from "./heatmap";
import { CompareLayers, partsOf } from "./comparelayers";
import { changed, go, Link, type Place } from "./route";
import { Problem } from "./shell";
import { OnText, TextBox } from "./testbox";
import { Scores } from "./scores";
import { Explanations } from "./unit";
import type { Study, Unit } from "./types";

const EXCERPTS = 4;

export function ComparePage({ study, place }: { study: Study; place: Place }) {
  const names = ["a", "b"].map((side) => place.query.get(side) ?? "");
  const text = place.query.get("text") ?? "";
  const sides = names.map((name) => partsOf(study, name));
  const [one, other] = sides;
  if (!one || !other || one.length !== other.length) return <Problem message={`name two units, two layers or two models of this study to compare (${names.map((name) => name || "nothing").join(" and ")} are not): such as crate/1/37 and gpt2/1/5, or crate/1 and gpt2/1. Or pin a unit on its page, then open another.`} />;
  if (one.length < 3) return <CompareLayers study={study} place={place} sides={[one, other]} />;
  return (
    <main class="compare">
      <h1>{names[0]} <span>and</span> {names[1]}</h1>
      <p class="scale"><span class="ramp" />activation, 0 to each unit’s own recorded maximum, in both columns<span class="ramp below" />expected by its explanation</p>
      {!exported && <TextBox text={text} change={(text) => go(changed(place, { text: text || null }), true)} label="Type one sentence and see both units on it" />}
      <div class="sides">{names.map((name, at) => <Side key={`${at} ${name}`} study={study} name={name} text={text} />)}</div>
    </main>
  );
}

function Side({ study, name, text }: { study: Study; name: string; text: string }) {
  const [unit, layer, ...rest] = name.split("/").reverse();
  const model = rest.reverse().join("/");
  const to = `/${[model, layer, unit].map(encodeURIComponent).join("/")}`;
  const { value, error } = useDocument<Unit>(`/api${to}`);
  if (error) return <section><h2>{name}</h2><p class="error" role="alert">{error}</p></section>;
  if (!value) return <section aria-busy="true"><h2>{name}</h2><p class="faint">Reading the unit …</p></section>;
  const excerpts = value.excerpts.filter((one) => one.half === value.scored_on && one.kind === "top").slice(0, EXCERPTS);
  const explainer = Object.keys(value.excerpts[0]?.simulated ?? {})[0] ?? "";
  const highest = Math.max(0, ...value.excerpts.flatMap((one) => one.activations));
  const shown = value.scores.filter((one) => one.metric === study.primary.metric || one.metric === "whole-text");
  return (
    <section>
      <h2><Link to={to}>{name}</Link> <small>maximum {short(highest)}</small></h2>
      {text && <OnText model={model} layer={Number(layer)} unit={Number(unit)} text={text} />}
      <Explanations unit={value} judge={null} />
      <Scores scores={shown} />
      {excerpts.map((one, at) => (
        <Heatmap key={at} texts={one.tokens.map((token) => value.texts[token])} truth={one.activations} expected={one.simulated[explainer]} highest={highest} label={`Excerpt ${at + 1} of ${name}`} />
      ))}
    </section>
  );
}
