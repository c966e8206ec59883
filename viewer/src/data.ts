// Where documents come from: a server, or, in an exported page, scripts beside it that hand themselves over.
import { useEffect, useState } from "preact/hooks";
import type { Study, Unit } from "./types";

export const exported = document.querySelector('meta[name="cratelm"]') !== null;

const kept = new Map<string, Promise<unknown>>();
const handed = new Map<string, unknown>();
(window as unknown as { cratelm: unknown }).cratelm = { put: (address: string, value: unknown) => handed.set(address, value) };

function load(file: string, address: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = file;
    script.onload = () => { script.remove(); resolve(handed.get(address)); handed.delete(address); };
    script.onerror = () => { script.remove(); reject(new Error("there is nothing of that name in this study.")); };
    document.head.append(script);
  });
}

async function answer(response: Response): Promise<unknown> {
  const body = await response.json().catch(() => ({ error: `the server answered ${response.status}.` }));
  if (!response.ok) throw new Error(body.error);
  return body;
}

async function fetched(address: string): Promise<unknown> {
  if (!exported) return answer(await fetch(address));
  if (address === "/api/study") return load("data/study.js", address);
  const parts = address.split("/").slice(2);
  const model = (await get<Study>("/api/study")).models.findIndex((one) => one.name === decodeURIComponent(parts[0]));
  const plain = `/api/${decodeURIComponent(parts[0])}/${parts.slice(1, 3).join("/")}`;
  if (parts[3] === "weights") return (await get<Unit>(address.replace(/\/weights$/, ""))).weights;
  return load(`data/${model}/${parts.slice(1, 3).join("/")}.js`, plain);
}

/** A document, kept so that going back shows it at once. */
export function get<T>(address: string): Promise<T> {
  if (!kept.has(address)) {
    kept.set(address, fetched(address));
    kept.get(address)!.catch(() => kept.delete(address));
    if (kept.size > 200) kept.delete(kept.keys().next().value!);
  }
  return kept.get(address) as Promise<T>;
}

export async function post<T>(address: string, body: unknown): Promise<T> {
  const headers = { "Content-Type": "application/json" };
  return (await answer(await fetch(address, { method: "POST", headers, body: JSON.stringify(body) }))) as T;
}

export interface Loaded<T> { value?: T; error?: string }

/** What a promise comes to, asked again when `key` changes; the last value stays while the next one is on its way. */
export function useLoaded<T>(key: string | null, ask: () => Promise<T>, wait = 0): Loaded<T> {
  const [state, set] = useState<Loaded<T>>({});
  useEffect(() => {
    let current = true;
    if (key === null) return;
    const timer = setTimeout(() => ask().then(
      (value) => current && set({ value }),
      (error: Error) => current && set((before) => ({ value: wait ? before.value : undefined, error: error.message })),
    ), wait);
    return () => { current = false; clearTimeout(timer); };
  }, [key]);
  return state;
}

export const useDocument = <T,>(address: string): Loaded<T> => useLoaded(address, () => get<T>(address));
