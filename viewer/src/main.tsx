// The page: an address in, what it names on the screen.
import { render } from "preact";
import { useEffect } from "preact/hooks";
import { useDocument } from "./data";
import { ComparePage } from "./compare";
import { FindPage } from "./find";
import { Glossary, GlossaryPage, Meanings } from "./glossary";
import { LayerPage } from "./layer";
import { usePlace } from "./route";
import { Problem, Top } from "./shell";
import { StudyPage } from "./study";
import { TryPage } from "./try";
import type { Study } from "./types";
import { UnitPage } from "./unit";

function App() {
  const place = usePlace();
  const { value: study, error } = useDocument<Study>("/api/study");
  const [model, layer, unit] = place.parts;
  useEffect(() => { document.title = [...place.parts.length ? [place.parts.join("/")] : [], "cratelm"].join(" – "); }, [place]);
  if (error) return <Problem message={error} />;
  if (!study) return <main class="wait" aria-busy="true">Reading the study …</main>;
  const page = () => {
    if (!model) return <StudyPage study={study} place={place} />;
    if (model === "glossary") return <GlossaryPage place={place} />;
    if (model === "compare") return <ComparePage study={study} place={place} />;
    if (model === "find") return <FindPage study={study} place={place} />;
    if (model === "try") return <TryPage study={study} place={place} />;
    const found = study.models.find((one) => one.name === model);
    if (!found || (layer !== undefined && !/^\d+$/.test(layer)) || (unit !== undefined && !/^\d+$/.test(unit)) || place.parts.length > 3) return <Problem message="there is nothing of that name in this study." />;
    if (layer === undefined) return <LayerPage study={study} key={model} judge={found.judge} place={{ ...place, parts: [model, String(found.exported?.[0] ?? 0)] }} />;
    return unit === undefined ? <LayerPage study={study} key={`${model}/${layer}`} judge={found.judge} place={place} /> : <UnitPage judge={found.judge} place={place} />;
  };
  return <Glossary.Provider value={study.glossary}><Top study={study} place={place} />{page()}<Meanings /></Glossary.Provider>;
}

render(<App />, document.getElementById("app")!);
