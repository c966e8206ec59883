// The study: the comparison, layer by layer, linked to the units that it is made of.
import { Curves } from "./charts";
import { exported } from "./data";
import { number } from "./format";
import { Ways } from "./find";
import { Gallery } from "./gallery";
import { Explained } from "./glossary";
import { Scatter } from "./scatter";
import { useLayers } from "./search";
import { Means } from "./means";
import { address, Link, type Place } from "./route";
import { shows, type Row, type Study } from "./types";

export function StudyPage({ study, place }: { study: Study; place: Place }) {
  const { rows, models, note } = study.report;
  const names = models.length ? models.map((one) => one.model) : study.models.map((one) => one.name);
  const [lead, ...rest] = study.headline;
  const first = study.models[0];
  const layers = useLayers(study);
  const metrics = [...new Set(rows.map((row) => row.metric))];
  return (
    <main class="study">
      <h1>{study.name}</h1>
      {lead && <p class="lead"><b>{lead}</b> <Explained text={rest.join(" ")} /></p>}
      <p class="steps">
        Choose a layer below, one of the units, or a way to find one.{!exported && <> Or <Link to={`/try?model=${encodeURIComponent(first.name)}`}>type a text and see which units fire</Link>.</>}
      </p>
      <Ways study={study} />
      {layers.error && <p class="error" role="alert">{layers.error}</p>}
      {layers.value && <Scatter study={study} layers={layers.value} names={names} place={place} />}
      <section class="cards">
        {study.models.filter((model) => !model.control).map((model) => (
          <article key={model.name}>
            <h2><i class={`swatch c${Math.max(0, names.indexOf(model.name)) % 6}`} />{model.name}</h2>
            <ModelFacts study={study} name={model.name} />
            <nav aria-label={`Layers of ${model.name}`}>
              {model.layers.map((layer, at) => shows(model, at) && (
                <Link key={at} class="layer" to={address(model.name, at)} title={layer.site}>layer {at} <small>{layer.units.toLocaleString("en")} units</small></Link>
              ))}
            </nav>
          </article>
        ))}
      </section>
      {layers.value && <Gallery study={study} layers={layers.value} />}
      <section class="row">
        {metrics.map((metric) => (
          <Curves key={metric} title={metric} layers={Math.max(...study.models.map((model) => model.layers.length))} curves={curves(rows, names, metric)} />
        ))}
      </section>
      <p class="legend">{names.map((name, at) => <span key={name}><i class={`swatch c${at % 6}`} />{name}</span>)}<span class="faint">{models.length > 0 && "dashed: the same networks before training; "}bars: 95% intervals</span></p>
      <Means study={study} place={place} />
      <p class="faint">{note}</p>
      {study.models.some((model) => model.control) && (
        <p class="faint">Controls: {study.models.filter((model) => model.control).map((model) => (
          <span key={model.name} class="control"> <Link to={address(model.name, 0)}>{model.name}</Link></span>))}</p>
      )}
    </main>
  );
}

function ModelFacts({ study, name }: { study: Study; name: string }) {
  const facts = study.report.models.find((one) => one.model === name);
  if (!facts) return null;
  return (
    <p class="faint">
      {facts.parameters?.toLocaleString("en")} parameters · {facts.tokens?.toLocaleString("en")} tokens seen
      {facts.validation_loss && <> · validation loss {number(facts.validation_loss.mean)} nats</>}
    </p>
  );
}

function curves(rows: Row[], names: string[], metric: string) {
  const of = (name: string) => rows.filter((row) => row.model === name && row.metric === metric && row.layer !== "all");
  return names.flatMap((name, colour) => [
    { name, colour, dashed: false, points: of(name).map((row) => row.score) },
    { name: `${name} before training`, colour, dashed: true, points: of(name).map((row) => row.random_weights).filter((one) => one !== undefined) },
  ]);
}
