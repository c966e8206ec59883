// Tokens coloured by how strongly a unit fires; under each, what an explanation expects.
import { useRef, useState } from "preact/hooks";
import { isBytes, marked, short, visible } from "./format";

export interface Tokens { texts: string[]; truth: number[]; expected?: number[]; highest: number; most?: number; label: string; asked?: number; ask?: (place: number) => void }

const share = (value: number, highest: number): number => (highest > 0 ? Math.max(0, Math.min(1, value / highest)) : 0);

export function Heatmap({ texts, truth, expected, highest, most, label, asked, ask }: Tokens) {
  const [at, setAt] = useState(-1);
  const root = useRef<HTMLDivElement>(null);
  const scale = most || Math.max(...(expected ?? [0]), 1e-9);
  const says = (place: number): string =>
    `${marked(texts[place])}  activation ${short(truth[place])}` + (expected ? `, expected ${short(expected[place])}` : "");
  const move = (event: KeyboardEvent) => {
    if (event.key === "Enter" && ask && at >= 0) { event.preventDefault(); ask(at); }
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    setAt(Math.max(0, Math.min(texts.length - 1, at + step)));
  };
  return (
    <div class={ask ? "heat asks" : "heat"} tabIndex={0} role="group" aria-label={`${label}. Arrow keys read its tokens${ask ? ", Enter says why the unit fired on one" : ""}.`} ref={root} onKeyDown={move}
      onClick={(event) => { const place = (event.target as HTMLElement).dataset.at; if (ask && place !== undefined) ask(Number(place)); }}
      onFocus={() => at < 0 && setAt(truth.indexOf(Math.max(...truth)))} onBlur={() => setAt(-1)} onMouseLeave={() => setAt(-1)}
      onMouseOver={(event) => { const place = (event.target as HTMLElement).dataset.at; if (place !== undefined) setAt(Number(place)); }}>
      {texts.map((text, place) => (
        <span key={place} data-at={place} dir="auto" class={"t" + (place === at ? " at" : "") + (place === asked ? " asked" : "") + (isBytes(text) ? " bytes" : "")}
          style={{ "--a": share(truth[place], highest), "--s": expected ? share(expected[place], scale) : 0 }}>
          {visible(text)}
        </span>
      ))}
      <output class="says" aria-live="polite">{at >= 0 && at < texts.length ? says(at) : " "}</output>
    </div>
  );
}
