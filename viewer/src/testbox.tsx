// A text of one's own under one unit: its heat map as one types, where the unit is.
import { post, useLoaded } from "./data";
import { short } from "./format";
import { Heatmap } from "./heatmap";
import type { Fire } from "./types";

interface Asked { model: string; layer: number; unit: number }

/** A unit on a text, coloured by the share of the unit's own recorded maximum. */
export function OnText({ model, layer, unit, text }: Asked & { text: string }) {
  const asked = { model, text, layer, unit };
  const { value, error } = useLoaded(text.trim() ? JSON.stringify(asked) : null, () => post<Fire>("/api/try/fire", asked), 200);
  if (!text.trim()) return null;
  if (error) return <p class="error" role="alert">{error}</p>;
  if (!value) return <p class="faint" aria-busy="true">Opening the model …</p>;
  const { activations, simulated, maximum } = value.chosen!;
  const most = Math.max(...activations, 0);
  return (
    <>
      <Heatmap texts={value.tokens} truth={activations} expected={Object.values(simulated)[0]} highest={Math.max(maximum, most)} label="Your text" />
      <p class="faint">{most > 0 ? `It fires: ${short(most)} at most, ${Math.round((100 * most) / (maximum || most))}% of its recorded maximum.` : "It does not fire on this text."}</p>
    </>
  );
}

/** Says that a text was cut, where a box is full: a browser cuts what is pasted without a word. */
export const Full = ({ text, most }: { text: string; most: number }) => (
  text.length < most ? null : <p class="error" role="status">This box holds {most.toLocaleString("en")} characters. Whatever was longer is cut off.</p>
);

export const LONGEST_LINE = 1000;

export const TextBox = ({ text, change, label }: { text: string; change: (text: string) => void; label: string }) => (
  <>
    <input class="test" dir="auto" aria-label={label} placeholder={label} value={text} maxLength={LONGEST_LINE} spellcheck={false} onInput={(event) => change(event.currentTarget.value)} />
    <Full text={text} most={LONGEST_LINE} />
  </>
);
