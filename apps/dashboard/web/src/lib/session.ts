// Who asks, and what that allows.

import { computed, signal } from "@preact/signals";
import { Failure, get, onSignedOut, post, remove } from "./api";
import { connect, disconnect } from "./live";
import { stored } from "./stored";
import type { RoleName, ServerRecord, Session } from "./schema";

const ORDER: Record<RoleName, number> = { viewer: 1, operator: 2, admin: 3 };

export const session = signal<Session | null>(null);
export const server = signal<ServerRecord | null>(null);
export const failure = signal<Failure | null>(null);

/** Whether this browser was let in last time: then the frame of the pages need not wait for the answer. */
export const known = stored("known", false);

const level = computed(() => (session.value?.role ? ORDER[session.value.role] : 0));
export const canOperate = computed(() => level.value >= ORDER.operator);
export const isAdmin = computed(() => level.value >= ORDER.admin);

export async function begin(): Promise<void> {
  failure.value = null;
  // What `jobs dev` prints: nobody but this page ever sees what stands behind the hash.
  const token = /^#token=(.+)$/.exec(location.hash)?.[1];
  if (token) history.replaceState(null, "", location.pathname + location.search);
  try {
    if (token) return await signIn(decodeURIComponent(token), "");
    session.value = await get<Session>("/session");
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    failure.value = error;
    return;
  }
  if (session.value.role) await enter();
  else known.value = false;
}

async function enter(): Promise<void> {
  known.value = true;
  connect();
  server.value = await get<ServerRecord>("/server").catch(() => null);
}

/** Sign in with a token of the dashboard. Raises Failure. */
export async function signIn(token: string, name: string): Promise<void> {
  session.value = await post<Session>("/session", { token, name });
  await enter();
}

export async function signOut(): Promise<void> {
  await remove("/session");
  disconnect();
  session.value = await get<Session>("/session");
}

onSignedOut.call = () => {
  if (!session.peek()?.role) return;
  disconnect();
  session.value = { ...(session.peek() as Session), role: null };
};
