// Finding a unit anywhere in the study: by words, or by one of the ways in; with how many there are in each layer.
import { exported, useLoaded } from "./data";
import { Term } from "./glossary";
import { marked, number, percent, visible } from "./format";
import { topTokens } from "./toptokens";
import { Pin } from "./pin";
import { address, changed, go, Link, type Place } from "./route";
import { best, WAYS } from "./ways";
import { firstOf, found, layersOf, nearIn, type Found, type Hit, type Near } from "./search";
import type { Study } from "./types";

const SHOWN = 60, NEAR = 40;

export const unitAt = (hit: Hit): string => address(hit.layer.model, hit.layer.layer, hit.unit);

/** Units whose top tokens have the words come before those that have them anywhere in an explanation; then by score. */
const relevance = (words: string) => (layer: Found["layer"], unit: number): number => {
  const tokens = topTokens(layer, unit).join(" ").toLowerCase();
  return best(layer, unit) + (words && words.toLowerCase().split(/\s+/).every((word) => tokens.includes(word)) ? 1 : 0);
};

/** The box in the head of every page. */
export function FindBox({ place }: { place: Place }) {
  const search = (event: SubmitEvent) => {
    event.preventDefault();
    const words = String(new FormData(event.currentTarget as HTMLFormElement).get("q") ?? "").trim();
    if (words) go(`/find?${new URLSearchParams({ q: words })}`);
  };
  return (
    <form class="find" role="search" onSubmit={search}>
      <input dir="auto" key={place.query.get("q") ?? ""} name="q" id="find" type="search" placeholder="find units by words" aria-label="Find units in the whole study" defaultValue={place.query.get("q") ?? ""} maxLength={200} />
    </form>
  );
}

export const Ways = ({ study, now }: { study: Study; now?: string }) => (
  <nav class="ways" aria-label="Ways to find a unit">
    {Object.entries(WAYS).map(([name, way]) => <Link key={name} to={`/find?way=${name}`} title={way.says} class={name === now ? "here" : ""}>{way.title}</Link>)}
    <button type="button" onClick={() => layersOf(study).then((layers) => go(surprise(layers.map((layer) => ({ layer, units: scored(layer) })))))}>surprise me</button>
  </nav>
);

const scored = (layer: Found["layer"]): number[] => (layer.only ?? Array.from({ length: layer.units }, (_, unit) => unit)).filter((unit) => best(layer, unit) > 0);

function surprise(all: Found[]): string {
  const hits = all.flatMap(({ layer, units }) => units.map((unit) => ({ layer, unit })));
  return hits.length ? unitAt(hits[Math.floor(Math.random() * hits.length)]) : "/find?q=";
}

export function FindPage({ study, place }: { study: Study; place: Place }) {
  const words = (place.query.get("q") ?? "").trim(), way = place.query.get("way") ?? "";
  const { value, error } = useLoaded(place.query.toString(), () => found(study, place));
  const total = value?.reduce((sum, one) => sum + one.units.length, 0);
  const title = words ? `Units about “${visible(words)}”` : WAYS[way] ? `Units: ${WAYS[way].title}` : "Find a unit";
  return (
    <main class="find-page">
      <h1>{title}</h1>
      <Ways study={study} now={way} />
      {WAYS[way] && <p class="faint">{WAYS[way].says}</p>}
      {error && <p class="error" role="alert">{error}</p>}
      {!value && !error && <p class="faint" aria-busy="true">Reading all layers …</p>}
      {value && (words || way) && <Counts all={value} place={place} />}
      {value && total === 0 && <Nothing study={study} words={words} />}
      {value && !!total && (words || way) && <Hits hits={firstOf(value, SHOWN, WAYS[way]?.value ?? relevance(words))} total={total} />}
      {value && words && study.search && !exported && <NearInMeaning key={words} all={value} words={words} place={place} />}
    </main>
  );
}

export const Counts = ({ all, place, here }: { all: Found[]; place: Place; here?: string }) => (
  <p class="counts">
    {all.map(({ layer, units }) => {
      const name = `${layer.model} / layer ${layer.layer}`;
      const to = changed({ ...place, parts: [layer.model, String(layer.layer)] }, {});
      return <span key={name}><b>{units.length.toLocaleString("en")}</b> {name === here ? "here" : units.length ? <>in <Link to={to}>{name}</Link></> : `in ${name}`}</span>;
    })}
  </p>
);

/** What the words did not find and their meaning does, by the study's search index. */
function NearInMeaning({ all, words, place }: { all: Found[]; words: string; place: Place }) {
  const { value, error } = useLoaded(words, () => nearIn(all, words).then((near) => near.slice(0, NEAR)));
  if (error) return <p class="faint">{error}</p>;
  if (!value) return <p class="faint" aria-busy="true">Looking for units near in meaning …</p>;
  if (!value.length) return <p class="faint">The units nearest in meaning are all listed above: they have these words.</p>;
  const counted = all.map(({ layer }) => ({ layer, units: value.filter((one) => one.layer === layer).map((one) => one.unit) }));
  return (
    <section class="near" aria-label="Units near in meaning">
      <h2>Near in meaning <small>the {value.length} nearest in the study that do not have these words</small></h2>
      <Counts all={counted} place={place} />
      <div class="scroll" tabIndex={0} role="region" aria-label="Near in meaning">
        <table class="hits">
          <thead><tr><th><Term name="unit" /></th><th class="n"><Term name="score">best score</Term></th><th class="n">cosine</th><th>said by</th><th>what is near</th><th><span class="hidden">pin</span></th></tr></thead>
          <tbody>{value.map((one) => <NearRow key={unitAt(one)} one={one} />)}</tbody>
        </table>
      </div>
    </section>
  );
}

const NearRow = ({ one }: { one: Near }) => (
  <tr>
    <td><Link to={unitAt(one)}>{unitAt(one).slice(1)}</Link></td><td class="n">{number(best(one.layer, one.unit), 2)}</td><td class="n">{number(one.score, 2)}</td>
    <td>{one.by}</td><td class="faint text">{one.text}</td><td><Pin unit={`${one.layer.model}/${one.layer.layer}/${one.unit}`} /></td>
  </tr>
);

export const Nothing = ({ study, words }: { study: Study; words: string }) => (
  <p class="nothing">
    No explanation and no top token has these words.{" "}
    {words && !exported && <Link class="action" to={`/try?${new URLSearchParams({ model: study.models[0].name, text: words })}`}>See which units fire on “{words}”</Link>}
  </p>
);

const Hits = ({ hits, total }: { hits: Hit[]; total: number }) => (
  <div class="scroll">
    <table class="hits">
      <caption>{total > hits.length ? `${hits.length} of ${total.toLocaleString("en")} units` : `${total} unit${total === 1 ? "" : "s"}`}</caption>
      <thead><tr><th><Term name="unit" /></th><th class="n"><Term name="score">best score</Term></th><th class="n"><Term name="token share" /></th><th class="n"><Term name="fires" /></th><th>top tokens</th><th>explanation</th><th><span class="hidden">pin</span></th></tr></thead>
      <tbody>
        {hits.map((hit) => {
          const { layer, unit } = hit;
          return (
            <tr key={unitAt(hit)}>
              <td><Link to={unitAt(hit)}>{layer.model}/{layer.layer}/{unit}</Link></td><td class="n">{number(best(layer, unit), 2)}</td><td class="n">{number(layer.token_share[unit], 2)}</td><td class="n">{percent(layer.firing[unit])}</td>
              <td class="tokens">{topTokens(layer, unit).slice(0, 4).map((token) => <b key={token}>{marked(token)}</b>)}</td><td class="faint text">{Object.values(layer.sentences)[0]?.[unit]}</td><td><Pin unit={`${layer.model}/${layer.layer}/${unit}`} /></td>
            </tr>
          );
        })}
      </tbody>
    </table>
  </div>
);
