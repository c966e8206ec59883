// What stands around every page: where one is, keys, light and dark, and what went wrong.
import { useEffect, useLayoutEffect, useState } from "preact/hooks";
import { NotesLink } from "./bookmark";
import { exported } from "./data";
import { FindBox } from "./find";
import { Pinned } from "./pin";
import { changed, go, Link, OTHER_UNIT, type Place } from "./route";
import { CopyLink } from "./share";
import { shows, type Judge, type Study } from "./types";

export const Problem = ({ message }: { message: string }) => (
  <main class="problem"><h1>This cannot be shown</h1><p role="alert">{message}</p><p><Link to="/">To the study</Link></p></main>
);

/** An explainer's name, with the mark of a language model that failed its puzzles. */
export const said = (explainer: string, judge: Judge | null): string => (judge && explainer === judge.explainer ? explainer + judge.mark : explainer);

/** Calls what belongs to a key, unless somebody is typing. */
export function useKeys(keys: Record<string, () => unknown>): void {
  // As soon as a change is on the page: the next key, however fast, has to meet the newest state.
  useLayoutEffect(() => {
    const press = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement;
      if (event.ctrlKey || event.metaKey || event.altKey || target.matches("input, textarea, select") || (event.key === "Enter" && target.matches("a, button"))) return;
      if (!Object.hasOwn(keys, event.key)) return;
      if (event.key !== "Escape") event.preventDefault(); // the browser closes the meaning of a word by it
      keys[event.key]();
    };
    window.addEventListener("keydown", press);
    return () => window.removeEventListener("keydown", press);
  });
}

function useTheme(): [string, () => void] {
  const saved = () => { try { return localStorage.getItem("theme") ?? ""; } catch { return ""; } };
  const [theme, set] = useState(saved);
  useEffect(() => {
    document.documentElement.dataset.theme = theme;
    try { localStorage.setItem("theme", theme); } catch { /* a page from a disk may have no storage */ }
  }, [theme]);
  const dark = theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  return [dark ? "light" : "dark", () => set(dark ? "light" : "dark")];
}

/** The same layer of another model, or its first one where it has none of that number. */
function layerOf(study: Study, name: string, layer = "0"): string {
  const model = study.models.find((one) => one.name === name)!;
  return Number(layer) < model.layers.length && shows(model, Number(layer)) ? layer : String(model.exported?.[0] ?? 0);
}

export function Top({ study, place }: { study: Study; place: Place }) {
  const [help, setHelp] = useState(false);
  const [other, turn] = useTheme();
  const [name, layer, unit] = place.parts;
  const model = study.models.find((one) => one.name === name);
  useKeys({ "?": () => setHelp(!help), Escape: () => setHelp(false), "/": () => (document.getElementById("search") ?? document.getElementById("find"))?.focus() });
  return (
    <>
      <a class="skip" href="#app" onClick={(event) => { event.preventDefault(); document.querySelector<HTMLElement>("main a, main input, main textarea")?.focus(); }}>Skip to the content</a>
      <header class="top">
        <nav aria-label="Where you are">
          <Link to="/" class="home">cratelm</Link>
          <Link to="/">{study.name}</Link>
          {model && (
            <select aria-label="Model" value={name} onChange={(event) => go(changed({ ...place, parts: [event.currentTarget.value, layerOf(study, event.currentTarget.value, layer)] }, OTHER_UNIT))}>
              {study.models.map((one) => <option key={one.name}>{one.name}</option>)}
            </select>
          )}
          {model && layer !== undefined && (
            <select aria-label="Layer" value={layer} onChange={(event) => go(changed({ ...place, parts: [name, event.currentTarget.value] }, OTHER_UNIT))}>
              {model.layers.map((_, at) => shows(model, at) && <option key={at} value={String(at)}>layer {at}</option>)}
            </select>
          )}
          {unit !== undefined && <Link to={changed({ ...place, parts: [name, layer] }, OTHER_UNIT)}>all units</Link>}
        </nav>
        <FindBox place={place} />
        <nav aria-label="Tools">
          <Pinned place={place} />
          {!exported && <Link to={`/try?model=${encodeURIComponent(model?.name ?? study.models[0].name)}`} class={name === "try" ? "here" : ""}>Try a text</Link>}
          <NotesLink here={name === "notes"} />
          <Link to="/glossary" class={name === "glossary" ? "here" : ""}>Glossary</Link>
          <CopyLink />
          <button onClick={turn}>{other}</button>
          <button aria-expanded={help} aria-label="Keys" onClick={() => setHelp(!help)}>?</button>
        </nav>
      </header>
      {help && (
        <div class="help" role="dialog" aria-label="Keys">
          <dl><dt>j k</dt><dd>next and previous unit</dd><dt>Enter</dt><dd>open the chosen unit</dd><dt>/</dt><dd>search</dd><dt>← →</dt><dd>read an excerpt’s tokens, once it has the focus</dd><dt>Enter</dt><dd>there: why did it fire on this token? Escape closes the answer</dd><dt>?</dt><dd>these keys</dd></dl>
        </div>
      )}
    </>
  );
}
