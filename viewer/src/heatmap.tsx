// Tokens coloured by how strongly a unit fires; under each, what an explanation expects.
import { useRef, useState } from "preact/hooks";
import { isBytes, marked, short, visible } from "./format";

export interface Tokens { texts: string[]; truth: number[]; expected?: number[]; highest: number; most?: number; label: string }

const share = (value: number, highest: number): number => (highest > 0 ? Math.max(0, Math.min(1, value / highest)) : 0);

export function Heatmap({ texts, truth, expected, highest, most, label }: Tokens) {
  const [at, setAt] = useState(-1);
  const root = useRef<HTMLDivElement>(null);
  const scale = most || Math.max(...(expected ?? [0]), 1e-9);
  const says = (place: number): string =>
    `${marked(texts[place])}  activation ${short(truth[place])}` + (expected ? `, expected ${short(expected[place])}` : "");
  const move = (event: KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    setAt(Math.max(0, Math.min(texts.length - 1, at + step)));
  };
  return (
    <div class="heat" tabIndex={0} role="group" aria-label={`${label}. Arrow keys read its tokens.`} ref={root} onKeyDown={move}
      onFocus={() => at < 0 && setAt(truth.indexOf(Math.max(...truth)))} onBlur={() => setAt(-1)} onMouseLeave={() => setAt(-1)}
      onMouseOver={(event) => { const place = (event.target as HTMLElement).dataset.at; if (place !== undefined) setAt(Number(place)); }}>
      {texts.map((text, place) => (
        <span key={place} data-at={place} dir="auto" class={"t" + (place === at ? " at" : "") + (isBytes(text) ? " bytes" : "")}
          style={{ "--a": share(truth[place], highest), "--s": expected ? share(expected[place], scale) : 0 }}>
          {visible(text)}
        </span>
      ))}
      <output class="says" aria-live="polite">{at >= 0 && at < texts.length ? says(at) : " "}</output>
    </div>
  );
}
