// Who is signed in. The cookie is HttpOnly, so the hub is asked.

import { computed, reactive } from 'vue';
import { api, ApiError } from '../api/client';
import type { Role, Session } from '../api/types';

export const session = reactive<{ known: boolean; user: string; role: Role }>({ known: false, user: '', role: 'viewer' });

export function signedIn(value: Session): void {
  session.known = true;
  session.user = value.user;
  session.role = value.role;
}

export function forget(): void {
  session.known = false;
  session.user = '';
  session.role = 'viewer';
}

/** True when the hub knows our cookie. Errors other than "not signed in" are the caller's to show. */
export async function restore(): Promise<boolean> {
  try {
    signedIn(await api.whoAmI());
    return true;
  } catch (error) {
    if (error instanceof ApiError && error.problem.status === 401) return false;
    throw error;
  }
}

export const canOperate = computed(() => session.role !== 'viewer');
export const canAdminister = computed(() => session.role === 'admin');
