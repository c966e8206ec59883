// Where documents come from: a server, or, in an exported page, packs that scripts hand over.
import { useEffect, useState } from "preact/hooks";
import { type Pack, type Text, unitOf, unpacked } from "./packs";
import type { Study, Unit } from "./types";

const mark = document.querySelector<HTMLMetaElement>('meta[name="cratelm"]');
export const exported = mark !== null;
/** Whether everything is in this file, so that there is no script to load. */
const alone = mark?.content === "one page";

const kept = new Map<string, Promise<unknown>>();
type Window = { cratelm?: { early?: [string, string][]; put: (address: string, pack: string) => void } };
const handed = new Map<string, string>((window as unknown as Window).cratelm?.early ?? []);
(window as unknown as Window).cratelm = { put: (address, pack) => void handed.set(address, pack) };
const NOTHING = "there is nothing of that name in this export.";

function load(address: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = `data/${address}.js`;
    script.onload = () => { script.remove(); resolve(handed.get(address)!); handed.delete(address); };
    script.onerror = () => { script.remove(); reject(new Error(NOTHING)); };
    document.head.append(script);
  });
}

/** A pack of the export, kept like the documents that are made of it. */
const opened = (address: string): Promise<Pack> => keep(`pack ${address}`, async () => {
  const there = handed.get(address);
  if (there === undefined && alone) throw new Error(NOTHING);
  return unpacked(there ?? await load(address));
});

async function fromExport(address: string): Promise<unknown> {
  if (address === "/api/study") return (await opened("study")).document;
  const [model, layer, unit, weights] = address.split("/").slice(2);
  const study = await get<Study>("/api/study");
  const layerAt = `${study.models.findIndex((one) => one.name === decodeURIComponent(model))}/${layer}`;
  if (unit === undefined) return (await opened(layerAt)).document;
  if (weights) return (await get<Unit>(address.replace(/\/weights$/, ""))).weights;
  const block = Math.floor(Number(unit) / study.export!.block), shelf = Math.floor(block / study.export!.shelf);
  const [units, text] = await Promise.all([opened(`${layerAt}/units-${block}`), opened(`${layerAt}/text-${shelf}`)]);
  return unitOf(units, text.document as Text, unit);
}

const SILENT = "the server does not answer. Start it again (cratelm view STUDY, or cratelm demo), then reload this page.";

/** A request's response; an error that says what to do where no server answers. */
const ask = (address: string, how?: RequestInit): Promise<Response> => fetch(address, how).catch(() => { throw new Error(SILENT); });

async function answer(response: Response): Promise<unknown> {
  const body = await response.json().catch(() => ({ error: `the server answered ${response.status}.` }));
  if (!response.ok) throw new Error(body.error);
  return body;
}

const fetched = async (address: string): Promise<unknown> => (exported ? fromExport(address) : answer(await ask(address)));

function keep<T>(name: string, make: () => Promise<T>): Promise<T> {
  if (!kept.has(name)) {
    kept.set(name, make());
    kept.get(name)!.catch(() => kept.delete(name));
    if (kept.size > 200) kept.delete(kept.keys().next().value!);
  }
  return kept.get(name) as Promise<T>;
}

/** A document, kept so that going back shows it at once. */
export const get = <T,>(address: string): Promise<T> => keep(address, () => fetched(address) as Promise<T>);

export async function post<T>(address: string, body: unknown): Promise<T> {
  const headers = { "Content-Type": "application/json" };
  return (await answer(await ask(address, { method: "POST", headers, body: JSON.stringify(body) }))) as T;
}

export interface Loaded<T> { value?: T; error?: string }

/** What a promise comes to, asked again when `key` changes, and nothing where it is null. The last value stays while the
 * next one is on its way, the last error does not; an error takes the value away, which is of another question. */
export function useLoaded<T>(key: string | null, make: () => Promise<T>, wait = 0): Loaded<T> {
  const [state, set] = useState<Loaded<T>>({});
  useEffect(() => {
    let current = true;
    if (key === null) return;
    set((before) => (before.error === undefined ? before : {}));
    const timer = setTimeout(() => make().then((value) => current && set({ value }), (error: Error) => current && set({ error: error.message })), wait);
    return () => { current = false; clearTimeout(timer); };
  }, [key]);
  return key === null ? {} : state;
}

export const useDocument = <T,>(address: string): Loaded<T> => useLoaded(address, () => get<T>(address));
