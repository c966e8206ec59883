// An explanation of one's own: words, kept in the address, scored like any other and shown on the excerpts; or a
// sentence, which a language model reads.
import { useEffect, useRef, useState } from "preact/hooks";
import { post, useLoaded, type Loaded } from "./data";
import { number, visible } from "./format";
import { changed, go, type Place } from "./route";
import { Full, LONGEST_LINE } from "./testbox";
import { Scores } from "./scores";
import type { Own, Read, Score, Study, Unit } from "./types";

/** Its name among the explainers of a unit. */
export const YOURS = "yours";

/** What becomes of the words in the address; nothing where there are none. */
export function useOwn(model: string, layer: string, unit: string, place: Place): Loaded<Own> {
  const words = place.query.get(YOURS) ?? "", body = { model, layer: Number(layer), unit: Number(unit), words };
  const key = JSON.stringify(body);
  const { value, error } = useLoaded(words ? key : null, () => post<Own>("/api/try/explain", body).then((own) => ({ own, key })));
  return words ? { value: value?.key === key ? value.own : undefined, error } : {};
}

/** The unit with what one's own words expect among the other explanations. */
export const withOwn = (unit: Unit, own?: Own): Unit => (own ? {
  ...unit,
  excerpts: unit.excerpts.map((one, at) => ({ ...one, simulated: { [YOURS]: own.simulated[at], ...one.simulated }, correlation: { [YOURS]: own.correlation[at], ...one.correlation } })),
} : unit);

/** Whether an explanation of one's own scores higher than the study's by the endpoint, in a sentence. */
function Verdict({ mine, theirs, primary }: { mine: Score[]; theirs: Score[]; primary: Study["primary"] }) {
  const by = (scores: Score[]) => scores.find((one) => one.metric === primary.metric)?.score ?? null;
  const [own, other] = [by(mine), by(theirs)];
  if (own === null || other === null) return null;
  const how = own > other ? "beats" : own < other ? "does not beat" : "equals";
  return <p><b>Your explanation {how} {primary.explainer}</b>: {number(own)} against {number(other)} by {primary.metric}.</p>;
}

/** In how many of the scored excerpts the words occur; a word that occurs in none can say nothing. */
function Occurrences({ own }: { own: Own }) {
  const counts = Object.entries(own.words), absent = counts.filter(([, count]) => !count).map(([word]) => `“${visible(word)}”`);
  const present = counts.filter(([, count]) => count).map(([word, count]) => `“${visible(word)}” in ${count}`);
  return (
    <>
      {present.length > 0 && <p class="faint">Of the unit’s {own.excerpts} scored excerpts: {present.join(", ")}.</p>}
      {absent.length > 0 && <p class="error" role="status">None of its {own.excerpts} scored excerpts has {absent.join(", ")}{present.length ? ": these words change nothing." : ": your explanation expects nothing anywhere. Take words from the excerpts below."}</p>}
    </>
  );
}

export function OwnWords({ unit, place, primary, loaded: { value, error } }: { unit: Unit; place: Place; primary: Study["primary"]; loaded: Loaded<Own> }) {
  const words = place.query.get(YOURS) ?? "";
  const theirs = unit.scores.filter((one) => one.explainer === primary.explainer);
  const box = useRef<HTMLInputElement>(null);
  useEffect(() => { if (box.current) box.current.value = words; }, [words]); // another address; the box keeps its focus
  const score = (event: SubmitEvent) => {
    event.preventDefault();
    const typed = String(new FormData(event.currentTarget as HTMLFormElement).get(YOURS) ?? "").trim();
    go(changed(place, { [YOURS]: typed || null, by: null }), true);
  };
  return (
    <section class="own">
      <h2>Your own explanation: words that it fires on <small>scored like any other</small></h2>
      <form onSubmit={score}>
        <input ref={box} name={YOURS} dir="auto" aria-label="Words that it fires on" placeholder="one, two=0.8, two words=0.5" defaultValue={words} maxLength={LONGEST_LINE} />
        <button type="submit">Score it</button>
      </form>
      <Full text={words} most={LONGEST_LINE} />
      {error && <p class="error" role="alert">{error}</p>}
      {words && !value && !error && <p class="faint" aria-busy="true">Scoring …</p>}
      {value && !error && <><Verdict mine={value.scores} theirs={theirs} primary={primary} /><Occurrences own={value} /><details><summary>by every metric</summary><Scores scores={[...value.scores, ...theirs.filter((one) => value.scores.some((mine) => mine.metric === one.metric))]} /></details></>}
    </section>
  );
}

export function Sentence({ model, layer, unit, reader, metric }: { model: string; layer: number; unit: number; reader: string | null; metric: string }) {
  const [sentence, setSentence] = useState("");
  const [asked, ask] = useState<{ sentence: string } | null>(null);
  const [times, count] = useState(0); // so that a sentence that got no answer in time can be asked again
  const body = { model, layer, unit, sentence: asked?.sentence ?? "" };
  const { value, error } = useLoaded(asked && `${times} ${asked.sentence}`, () => post<Read>("/api/try/judge", body).then((read) => ({ ...read, asked })));
  const failures = Object.entries(value?.failures ?? {});
  return (
    <section class="own">
      <h2>Your own explanation as a sentence <small>{reader ? `read by ${reader}` : "needs a language model to read it"}</small></h2>
      {reader ? (
        <form onSubmit={(event) => { event.preventDefault(); ask({ sentence }); count(times + 1); }}>
          <input aria-label="A sentence that says what it fires on" placeholder="it fires on … numbers in brackets" value={sentence} maxLength={500} onInput={(event) => setSentence(event.currentTarget.value)} />
          <button type="submit">Let it read</button>
        </form>
      ) : <p class="faint">Run <code>cratelm view STUDY --llm URL|PATH</code>, with a server’s address or a model’s path, to have sentences read.</p>}
      {reader && <p class="faint">It reads the unit’s 5 random scored excerpts ({metric}) and no others: in this process that is about a second each. What the judge is worth, <code>cratelm validate</code> says; it was not tried on puzzles here.</p>}
      {asked !== null && !error && value?.asked !== asked && <p class="faint" aria-busy="true">The judge reads …</p>}
      {error && <p class="error" role="alert">{error}</p>}
      {value && !error && value.asked === asked && (
        <>
          <p>{value.explanation}</p>
          <Scores scores={value.scores} />
          <p class="faint">{value.answers} excerpts read; {failures.length ? `answers that could not be used: ${failures.map(([reason, count]) => `${count} ${visible(reason)}`).join(", ")}` : "all answers could be used"}.</p>
        </>
      )}
    </section>
  );
}
