// Short notices in the corner: what was done, or a problem with its cause and fix.

import { shallowRef } from 'vue';
import { ApiError } from '../api/client';
import type { Problem } from '../api/types';

export interface Notice {
  id: number;
  text?: string;
  problem?: Problem;
}

const notices_count_max = 4;
const done_shown_ms = 4_000;
const problem_shown_ms = 20_000;

export const notices = shallowRef<Notice[]>([]);
let next = 1;

function push(notice: Omit<Notice, 'id'>, shown_ms: number): void {
  const id = next++;
  notices.value = [...notices.value.slice(1 - notices_count_max), { id, ...notice }];
  setTimeout(() => dismiss(id), shown_ms);
}

export function dismiss(id: number): void {
  notices.value = notices.value.filter((notice) => notice.id !== id);
}

export const tellDone = (text: string): void => push({ text }, done_shown_ms);

export function problemOf(error: unknown): Problem {
  if (error instanceof ApiError) return error.problem;
  const detail = error instanceof Error ? error.message : String(error);
  return { type: 'about:blank', status: 0, code: 'console_fault', title: 'The console stumbled', cause: detail, fix: 'Reload the page; report this text if it comes back' };
}

/** A 401 leads to the sign-in page by itself and needs no notice. */
export function tellProblem(error: unknown): void {
  const problem = problemOf(error);
  if (problem.status !== 401) push({ problem }, problem_shown_ms);
}
