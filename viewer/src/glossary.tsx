// What words mean: each is a button that opens a sentence from the study's glossary, and all are on one page.
import { createContext, type ComponentChildren } from "preact";
import { useContext, useEffect } from "preact/hooks";
import { Link, type Place } from "./route";
import type { Term as Entry } from "./types";

export const Glossary = createContext<Record<string, Entry>>({});

const placeOf = (name: string): string => name.replace(/ /g, "-");

/** A word that explains itself; `mark` leaves it to a question mark, where the word itself is another button. */
export function Term({ name, mark, children }: { name: string; mark?: boolean; children?: ComponentChildren }) {
  const known = useContext(Glossary)[name];
  if (!known) return mark ? null : <>{children ?? name}</>; // a metric or an explainer of another package
  const asks = mark ? { class: "term mark", "aria-label": `What is ${name}?` } : { class: "term" };
  return <button type="button" {...asks} popovertarget={`term-${placeOf(name)}`} title={known.says}>{mark ? "?" : children ?? name}</button>;
}

/** A sentence whose terms open their meaning. Terms of one plain word (unit, table) stay text: there they may mean anything. */
export function Explained({ text }: { text: string }) {
  const names = Object.keys(useContext(Glossary)).filter((name) => /[- ]/.test(name)).sort((a, b) => b.length - a.length);
  if (!names.length) return <>{text}</>;
  const pieces = text.split(new RegExp(`\\b(${names.map((name) => name.replace(/[^\w -]/g, "\\$&")).join("|")})\\b`));
  return <>{pieces.map((piece, at) => (at % 2 ? <Term key={at} name={piece} /> : piece))}</>;
}

/** What the buttons open; once on a page. */
export function Meanings() {
  return (
    <>
      {Object.values(useContext(Glossary)).map((one) => (
        <div key={one.name} id={`term-${placeOf(one.name)}`} class="meaning" popover="auto">
          <b>{one.name}</b> {one.says} <Link to={`/glossary?term=${encodeURIComponent(one.name)}`}>Glossary</Link>
        </div>
      ))}
    </>
  );
}

export function GlossaryPage({ place }: { place: Place }) {
  const asked = place.query.get("term");
  const terms = Object.values(useContext(Glossary)).sort((a, b) => a.name.localeCompare(b.name));
  useEffect(() => document.querySelector(".glossary .here")?.scrollIntoView({ block: "center" }), [asked]);
  return (
    <main class="glossary">
      <h1>Glossary</h1>
      <p class="steps">A word with dots under it opens its meaning where it is. These are all of them; docs/ has the details.</p>
      <dl>
        {terms.map((one) => (
          <div key={one.name} class={one.name === asked ? "here" : ""}><dt>{one.name}</dt><dd>{one.says} <small>docs/{one.more.replace("#", ", ").replace(/-/g, " ")}</small></dd></div>
        ))}
      </dl>
    </main>
  );
}
