// The page: an address in, what it names on the screen.
import { render } from "preact";
import { useEffect } from "preact/hooks";
import { useDocument } from "./data";
import { NotesPage } from "./bookmark";
import { ComparePage } from "./compare";
import { FindPage } from "./find";
import { Glossary, GlossaryPage, Meanings } from "./glossary";
import { LayerPage } from "./layer";
import { Noted } from "./notes";
import { useArrival, usePlace, type Place } from "./route";
import { Problem, Top } from "./shell";
import { StudyPage } from "./study";
import { TryPage } from "./try";
import type { Study } from "./types";
import { UnitPage } from "./unit";
import { WAYS } from "./ways";

/** What a page shows, for the browser's tab and its history. */
function titleOf(place: Place): string {
  const [page, query] = [place.parts[0], place.query];
  const own: Record<string, string> = {
    try: "Try a text", glossary: "Glossary", notes: "Notes", compare: `${query.get("a")} and ${query.get("b")}`,
    find: query.get("q") ? `Units about “${query.get("q")}”` : WAYS[query.get("way") ?? ""]?.title ?? "Find a unit",
  };
  return page === undefined ? "" : Object.hasOwn(own, page) ? own[page] : place.parts.join("/") + (query.get("q") ? ` “${query.get("q")}”` : "");
}

/** What is wrong with an address of a model, a layer or a unit; null where nothing is. */
function missing(study: Study, place: Place): string | null {
  const [name, layer, unit] = place.parts;
  const model = study.models.find((one) => one.name === name);
  if (!model || place.parts.length > 3) return `there is nothing of that name in this study. Its models are ${study.models.map((one) => one.name).join(", ")}.`;
  const at = layer === undefined ? null : model.layers[/^\d+$/.test(layer) ? Number(layer) : -1];
  if (at === undefined) return `there is nothing of that name in this study: ${name} has layers 0 to ${model.layers.length - 1}.`;
  if (unit !== undefined && at && !(/^\d+$/.test(unit) && Number(unit) < at.units)) return `there is nothing of that name in this study: ${name}, layer ${layer} has units 0 to ${at.units - 1}.`;
  return null;
}

function App() {
  const place = usePlace();
  const { value: study, error } = useDocument<Study>("/api/study");
  const [model, layer, unit] = place.parts;
  useArrival(place);
  useEffect(() => { document.title = [titleOf(place), study?.name, "cratelm"].filter(Boolean).join(" – "); }, [place, study]);
  if (error) return <Problem message={error} />;
  if (!study) return <main class="wait" aria-busy="true">Reading the study …</main>;
  const page = () => {
    if (!model) return <StudyPage study={study} place={place} />;
    if (model === "glossary") return <GlossaryPage place={place} />;
    if (model === "notes") return <NotesPage study={study} />;
    if (model === "compare") return <ComparePage study={study} place={place} />;
    if (model === "find") return <FindPage study={study} place={place} />;
    if (model === "try") return <TryPage study={study} place={place} />;
    const found = study.models.find((one) => one.name === model);
    const problem = missing(study, place);
    if (!found || problem) return <Problem message={problem ?? ""} />;
    if (layer === undefined) return <LayerPage study={study} key={model} judge={found.judge} place={{ ...place, parts: [model, String(found.exported?.[0] ?? 0)] }} />;
    return unit === undefined ? <LayerPage study={study} key={`${model}/${layer}`} judge={found.judge} place={place} /> : <UnitPage study={study} judge={found.judge} place={place} />;
  };
  return <Glossary.Provider value={study.glossary}><Noted.Provider value={study.id}><Top study={study} place={place} />{page()}<Meanings /></Noted.Provider></Glossary.Provider>;
}

render(<App />, document.getElementById("app")!);
