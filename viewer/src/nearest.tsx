// The units of a layer that are nearest in meaning to what is typed into its search box.
import { get, useLoaded } from "./data";
import { number } from "./format";
import { address, Link } from "./route";
import type { Nearest } from "./types";

/** Milliseconds after the last key before the server is asked. */
const PAUSE = 300;

export function NearestUnits({ model, layer, question }: { model: string; layer: number; question: string }) {
  const asked = question.trim();
  const at = `/api/${encodeURIComponent(model)}/${layer}/search?${new URLSearchParams({ q: asked })}`;
  const { value, error } = useLoaded(asked ? at : null, () => get<Nearest>(at), PAUSE);
  if (!asked) return null;
  if (error) return <p class="faint">{error}</p>;
  if (!value) return <p class="faint" aria-busy="true">Looking for units near in meaning …</p>;
  return (
    <ol class="nearest" aria-label="Units nearest in meaning">
      <li class="faint">nearest in meaning:</li>
      {value.units.map((one) => (
        <li key={one.unit} title={`${one.by}: ${one.text}`}><Link to={address(model, layer, one.unit)}>{one.unit}</Link> {number(one.score, 2)} <span class="faint">{one.text.slice(0, 60)}</span></li>
      ))}
    </ol>
  );
}
