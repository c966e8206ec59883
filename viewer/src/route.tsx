// Addresses: a path and a query hold all that a page shows. An exported page keeps them behind a #.
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { exported } from "./data";

export interface Place { parts: string[]; query: URLSearchParams }

function read(): Place {
  const whole = exported ? location.hash.slice(1) || "/" : location.pathname + location.search;
  const [path, query] = whole.split("?");
  return { parts: path.split("/").filter(Boolean).map(decoded), query: new URLSearchParams(query ?? "") };
}

function decoded(part: string): string {
  try { return decodeURIComponent(part); } catch { return part; }
}

export const href = (address: string): string => (exported ? `#${address}` : address);

/** Show what an address names; `stay` where it is a part of the page that is read already. */
export function go(address: string, replace = false, stay = false): void {
  history[replace ? "replaceState" : "pushState"](null, "", href(address));
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

export function Link({ to, stay, children, ...rest }: { to: string; stay?: boolean; children: ComponentChildren; [name: string]: unknown }) {
  const follow = (event: MouseEvent) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
    event.preventDefault();
    go(to, false, stay);
  };
  return <a href={href(to)} onClick={follow} {...rest}>{children}</a>;
}
