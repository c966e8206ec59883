// Addresses: a path and a query hold all that a page shows. An exported page keeps them behind a #.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { exported } from "./data";

export interface Place { parts: string[]; query: URLSearchParams }

function read(): Place {
  const whole = exported ? location.hash.slice(1) || "/" : location.pathname + location.search;
  const [path, query] = whole.split("?");
  return { parts: path.split("/").filter(Boolean).map(decoded).map(plain), query: new URLSearchParams(query ?? "") };
}

/** A layer's or unit's number without leading zeros, so that a unit has one address; a model's name stays. */
const plain = (part: string, at: number): string => (at ? part.replace(/^0+(?=\d+$)/, "") : part);

function decoded(part: string): string {
  try { return decodeURIComponent(part); } catch { return part; }
}

export const href = (address: string): string => (exported ? `#${address}` : address);

/** What a page was like when one left it: how far it was scrolled, and what was chosen in its list. */
interface Left { scroll?: number; list?: number; chosen?: number }
export const left = (): Left => (history.state as Left | null) ?? {};
export const leave = (how: Left): void => history.replaceState({ ...left(), ...how }, "");

/** Show what an address names; `stay` where it is a part of the page that is read already. */
export function go(address: string, replace = false, stay = false): void {
  if (!replace) leave({ scroll: window.scrollY });
  history[replace ? "replaceState" : "pushState"](replace ? history.state : null, "", href(address));
  window.dispatchEvent(new Event("place"));
  if (!replace && !stay) window.scrollTo(0, 0);
}

export function usePlace(): Place {
  const [place, set] = useState(read);
  useEffect(() => {
    const update = () => set(read());
    for (const name of ["popstate", "hashchange", "place"]) window.addEventListener(name, update);
    return () => { for (const name of ["popstate", "hashchange", "place"]) window.removeEventListener(name, update); };
  }, []);
  return place;
}

const PATIENCE = 3000;

/** Calls `ready` in each frame until it says that it is done, for a page that takes its time to come. */
function whenReady(ready: () => boolean): () => void {
  const end = performance.now() + PATIENCE;
  let frame = requestAnimationFrame(function again() { if (!ready() && performance.now() < end) frame = requestAnimationFrame(again); });
  return () => cancelAnimationFrame(frame);
}

/** On a new page the heading has the focus, and a page that one goes back to is scrolled as it was. */
export function useArrival(place: Place): void {
  const first = useRef(true);
  const path = place.parts.join("/");
  useEffect(() => {
    history.scrollRestoration = "manual";
    const scroll = left().scroll ?? 0, before = first.current;
    first.current = false;
    return whenReady(() => {
      const heading = document.querySelector<HTMLElement>("main h1");
      if (!heading || document.documentElement.scrollHeight < scroll + window.innerHeight) return false;
      if (!before) { heading.tabIndex = -1; heading.focus({ preventScroll: true }); }
      if (scroll) window.scrollTo(0, scroll);
      return true;
    });
  }, [path]);
}

export const address = (...parts: (string | number)[]): string => "/" + parts.map((part) => encodeURIComponent(part)).join("/");

/** The address with some of its query changed; what is null or empty is left out. */
export function changed(place: Place, changes: Record<string, string | null>): string {
  const query = new URLSearchParams(place.query);
  for (const [name, value] of Object.entries(changes)) value === null ? query.delete(name) : query.set(name, value);
  const text = query.toString();
  return address(...place.parts) + (text ? `?${text}` : "");
}

/** What leads away from the question why a unit fired on a token. */
export const NO_WHY = { why: null, path: null };

/** What is asked of one unit alone, and left out on the way to another. */
export const OTHER_UNIT = { ...NO_WHY, yours: null };

export function Link({ to, stay, children, ...rest }: { to: string; stay?: boolean; children: ComponentChildren; [name: string]: unknown }) {
  const follow = (event: MouseEvent) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
    event.preventDefault();
    go(to, false, stay);
  };
  return <a href={href(to)} onClick={follow} {...rest}>{children}</a>;
}
