// Type a text: see what fires on it, and turn units.
import { exported, get, post, useLoaded } from "./data";
import { marked, percent, short, visible } from "./format";
import { Heatmap } from "./heatmap";
import { address, changed, go, Link, NO_WHY, type Place } from "./route";
import { Full } from "./testbox";
import { typedOf, WhyPanel } from "./why";
import type { Change, Fire, Layer, Model, Steered, Study } from "./types";

const LONGEST = 8000;

export function TryPage({ study, place }: { study: Study; place: Place }) {
  const name = place.query.get("model") ?? "";
  const model = study.models.find((one) => one.name === name) ?? study.models[0];
  const typed = place.query.get("text"); // where nothing was typed, the server gives an example from the study's text
  const chosen = place.query.get("unit")?.match(/^(\d+)\/(\d+)$/);
  const [layer, unit] = chosen ? [Number(chosen[1]), Number(chosen[2])] : [null, null];
  const number_ = (name: string) => (/^\d{1,6}$/.test(place.query.get(name) ?? "") ? Number(place.query.get(name)) : null);
  const asked = { model: model.name, text: typed, layer, unit, at: number_("at"), within: number_("within") };
  const { value, error } = useLoaded(exported ? null : JSON.stringify(asked), () => post<Fire>("/api/try/fire", asked), 150);
  const text = typed ?? value?.text ?? "";
  // While another unit is on its way, what is known is of the one before.
  const seen = value?.chosen && value.chosen.layer === layer && value.chosen.unit === unit ? value : null;
  const change = (changes: Record<string, string | null>) => go(changed(place, changes), true);
  if (exported) return <main class="problem"><h1>Trying needs the model</h1><p>These pages are files. Run <code>cratelm view</code> on the study to type texts and turn units.</p></main>;
  return (
    <main class="try">
      <header class="bar">
        <h1>Try a text</h1>
        <label>model <select value={model.name} onChange={(event) => change({ model: event.currentTarget.value, text: typed, unit: null, clamp: null, error: null, ...NEW_TEXT, within: null })}>{study.models.map((one) => <option key={one.name}>{one.name}</option>)}</select></label>
      </header>
      <textarea id="search" rows={3} dir="auto" spellcheck={false} aria-label="Text" maxLength={LONGEST} value={text} onInput={(event) => change({ text: event.currentTarget.value, ...NEW_TEXT })} />
      <Full text={text} most={LONGEST} />
      {error && <p class="error" role="alert">{error}</p>}
      <div class="columns">
        <div>
          {seen && <Seen fire={seen} model={model.name} text={text} place={place} />}
          <Steer model={model} text={text} known={!error} place={place} chosen={seen?.chosen ?? null} />
          {chosen && <p><Link to={address(model.name, layer!, unit!)}>Write an explanation of {layer}/{unit}</Link> and see how it scores.</p>}
        </div>
        <aside>
          <h2>Fire most <small>the most unusual for its unit first</small></h2>
          {!value && !error && <p class="faint" aria-busy="true">Opening the model …</p>}
          {value && <Where fire={value} model={model} at={asked.at} within={asked.within} change={(changes) => change({ text, ...changes })} />}
          {value && <Firing fire={value} model={model.name} choose={(to) => change({ text, unit: to, clamp: null, ...NO_WHY })} now={chosen?.[0]} />}
        </aside>
      </div>
    </main>
  );
}

function Seen({ fire, model, text, place }: { fire: Fire; model: string; text: string; place: Place }) {
  const { layer, unit, activations, simulated, maximum } = fire.chosen!;
  const expected = Object.values(simulated)[0];
  const asked = typedOf(place, text);
  const data = `/api/${encodeURIComponent(model)}/${layer}`;
  const list = useLoaded(data, () => get<Layer>(data)).value;
  return (
    <section>
      <h2><Link to={address(model, layer, unit)}>{model}/{layer}/{unit}</Link> <small>on your text; its recorded maximum is {short(maximum)}</small></h2>
      {list && <p class="faint">{Object.values(list.sentences)[0]?.[unit]}</p>}
      <Heatmap texts={fire.tokens} truth={activations} expected={expected} highest={Math.max(maximum, ...activations)} label="Your text"
        asked={asked ? asked.position - 1 : undefined} ask={(at) => go(changed(place, { why: String(at + 1), path: null }), false, true)} />
      {asked && <WhyPanel key={`${place.query.get("why")} ${layer}/${unit} ${text}`} model={model} layer={layer} unit={unit} asked={asked} place={place} />}
      {!asked && <p class="faint">Click a token: why did it fire there?</p>}
    </section>
  );
}

/** What leads away from one token of the text. */
const NEW_TEXT = { ...NO_WHY, at: null };

/** At which token, and in which layer, units that fire are looked for. */
function Where({ fire, model, at, within, change }: { fire: Fire; model: Model; at: number | null; within: number | null; change: (changes: Record<string, string | null>) => void }) {
  return (
    <>
      <label class="faint">in <select value={within ?? ""} onChange={(event) => change({ within: event.currentTarget.value || null })}>
        <option value="">all layers</option>{model.layers.map((_, layer) => <option key={layer} value={layer}>layer {layer}</option>)}
      </select></label>
      <div class="pick" role="group" aria-label="What fires on this token?">
        {fire.tokens.map((token, place) => <button key={place} type="button" aria-pressed={place === at} title="What fires on this token?" onClick={() => change({ at: place === at ? null : String(place) })}>{visible(token)}</button>)}
      </div>
      <p class="faint">{at === null || fire.tokens[at] === undefined ? "Anywhere in the text. Press a token: what fires on it?" : <>On <b>{marked(fire.tokens[at])}</b> alone. <button type="button" onClick={() => change({ at: null })}>anywhere</button></>} The percentage: on how many of the recorded tokens the unit fires as strongly.</p>
    </>
  );
}

function Firing({ fire, model, choose, now }: { fire: Fire; model: string; choose: (to: string) => void; now?: string }) {
  return (
    <ol class="firing">
      {fire.firing.slice(0, 40).map((one) => {
        const name = `${one.layer}/${one.unit}`;
        return (
          <li key={name}>
            <button aria-pressed={name === now} onClick={() => choose(name)}>
              <span><span class="hidden">Look at unit </span>{name}</span><i style={{ "--a": Math.min(1, one.share) }} /><span class="n" title={`${percent(one.share)} of its recorded maximum`}>{percent(one.as_strong)}</span><b>{marked(fire.tokens[one.place])}</b>
            </button>
            <Link to={address(model, one.layer, one.unit)} aria-label={`Page of unit ${name}`}>→</Link>
          </li>
        );
      })}
    </ol>
  );
}

/** Units held at values, and what the model writes then; nothing is asked of a text that the model is `known` not to read. */
function Steer({ model, text, known, place, chosen }: { model: Model; text: string; known: boolean; place: Place; chosen: Fire["chosen"] }) {
  const clamps = (place.query.get("clamp") ?? "").split(" ").filter(Boolean);
  const heat = place.query.get("heat") === null ? null : Math.max(0.1, Math.min(5, Number(place.query.get("heat")) || 1)), seed = Math.floor(Math.abs(Number(place.query.get("seed")))) || 0;
  const withoutError = model.latents && place.query.get("error") === "without";
  const asked = { model: model.name, text, clamps, new_tokens: 40, without_error: withoutError, temperature: heat, seed: heat ? seed : null };
  const key = clamps.length && text && known ? JSON.stringify(asked) : null;
  const { value, error } = useLoaded(key, () => post<Steered>("/api/try/steer", asked).then((steered) => ({ ...steered, text })), 250);
  const change = (all: string[]) => go(changed(place, { text, clamp: all.join(" ") || null }), true);
  const name = chosen && `${chosen.layer}/${chosen.unit}`;
  const mine = clamps.find((one) => one.startsWith(`${name}=`));
  const set = (value_: number) => change([...clamps.filter((one) => !one.startsWith(`${name}=`)), `${name}=${Number(value_.toPrecision(3))}`]);
  const most = chosen?.maximum || 1;
  return (
    <section class="steer">
      <h2>Turn units <small>and see what is said next</small></h2>
      {!chosen && !clamps.length && <p class="faint">Choose a unit that fires, then turn it.</p>}
      {chosen && (
        <p class="turn">
          <label>{name} held at <input type="range" min={0} max={most * 5} step={most / 20} value={mine ? Number(mine.split("=")[1]) : most} onInput={(event) => set(Number(event.currentTarget.value))} /></label>
          <output>{mine ? short(Number(mine.split("=")[1])) : "as it is"}</output>
          {[0, 1, 2, 5].map((by) => <button key={by} onClick={() => set(most * by)}>{by ? `${by} × max` : "off"}</button>)}
        </p>
      )}
      <label class="clamps">all turns <input value={place.query.get("clamp") ?? ""} placeholder="1/37=8 0/5=0" spellcheck={false} onChange={(event) => change(event.currentTarget.value.trim().split(/\s+/))} /></label>
      <p class="turn faint">
        <label>what is said <select value={heat === null ? "greedy" : "drawn"} onChange={(event) => go(changed(place, { heat: event.currentTarget.value === "drawn" ? "0.8" : null, seed: null }), true)}><option value="greedy">the likeliest token each time</option><option value="drawn">drawn</option></select></label>
        {heat !== null && <><label>at temperature <input type="number" min={0.1} max={5} step={0.1} value={heat} onChange={(event) => go(changed(place, { heat: event.currentTarget.value }), true)} /></label><button type="button" onClick={() => go(changed(place, { seed: String(seed + 1) }), true)}>draw again (seed {seed})</button></>}
      </p>
      {model.latents && (
        <label class="faint"><input type="checkbox" checked={withoutError} onChange={(event) => go(changed(place, { error: event.currentTarget.checked ? "without" : null }), true)} /> without the autoencoder’s error: its reconstruction takes the place of what it reads, in both texts</label>
      )}
      {error && <p class="error" role="alert">{error}</p>}
      {key && !value && !error && <p class="faint" aria-busy="true">The model writes …</p>}
      {value && clamps.length > 0 && (
        <>
          <dl class="said">
            <dt>without</dt><dd><span class="faint">{visible(value.text)}</span>{visible(value.continuation)}</dd>
            <dt>with</dt><dd class="steered"><span class="faint">{visible(value.text)}</span><mark>{visible(value.steered_continuation)}</mark></dd>
          </dl>
          <p class="faint">KL(with ‖ without) of the next token: {short(value.divergence)} nats</p>
          <div class="two"><Changes name="raised" rows={value.raised} /><Changes name="lowered" rows={value.lowered} /></div>
        </>
      )}
    </section>
  );
}

/** Tokens that stay less likely than this either way are left out: nobody would see them. */
const FLOOR = 0.0001;

const gain = (one: Change): string => {
  const by = one.after - one.before;
  return (by < 0 ? "−" : "+") + percent(Math.abs(by));
};

function Changes({ name, rows }: { name: string; rows: Change[] }) {
  const seen = rows.filter((one) => Math.max(one.before, one.after) >= FLOOR);
  return (
    <table class="changes">
      <thead><tr><th scope="col">{name}</th><th class="n" scope="col">without</th><th class="n" scope="col">with</th><th class="n" scope="col">change</th></tr></thead>
      <tbody>{seen.map((one, at) => <tr key={at}><td><b>{marked(one.token)}</b></td><td class="n">{percent(one.before)}</td><td class="n">{percent(one.after)}</td><td class="n">{gain(one)}</td></tr>)}</tbody>
    </table>
  );
}
