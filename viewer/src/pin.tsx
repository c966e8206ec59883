// A unit that is kept at hand to be compared with another one, as long as the browser's tab is open.
import { useEffect, useState } from "preact/hooks";
import { go, Link, type Place } from "./route";

const KEY = "pinned";

function stored(): string | null {
  try { return sessionStorage.getItem(KEY); } catch { return null; }
}

let kept = stored(); // a page from a disk may have no storage: then a pin lasts until it is loaded again

function pin(unit: string | null): void {
  kept = unit;
  try { unit === null ? sessionStorage.removeItem(KEY) : sessionStorage.setItem(KEY, unit); } catch { /* `kept` has it */ }
  window.dispatchEvent(new Event("pin"));
}

function usePin(): string | null {
  const [unit, set] = useState(kept);
  useEffect(() => {
    const update = () => set(kept);
    window.addEventListener("pin", update);
    return () => window.removeEventListener("pin", update);
  }, []);
  return unit;
}

export const comparison = (a: string, b: string): string => `/compare?${new URLSearchParams({ a, b })}`;

/** Keeps a unit (`model/layer/index`), or compares it with the one that is kept. */
export function Pin({ unit }: { unit: string }) {
  const pinned = usePin();
  if (pinned === unit) return <button type="button" onClick={() => pin(null)}>Unpin</button>;
  if (pinned) return <button type="button" title={`Compare with ${pinned}`} onClick={() => go(comparison(pinned, unit))}>Compare with {pinned}</button>;
  return <button type="button" title="Keep this unit at hand, to compare another one with it" onClick={() => pin(unit)}>Pin</button>;
}

/** The unit that is kept, in the head of every page. */
export function Pinned({ place }: { place: Place }) {
  const pinned = usePin();
  if (!pinned || place.parts[0] === "compare") return null;
  return <span class="pinned">pinned <Link to={`/${pinned.split("/").map(encodeURIComponent).join("/")}`}>{pinned}</Link> <button type="button" aria-label={`Unpin ${pinned}`} onClick={() => pin(null)}>×</button></span>;
}
