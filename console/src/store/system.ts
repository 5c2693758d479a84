// Figures of the hub, polled while somebody looks; a minute-long ring of message rates for the sparkline.

import { computed, onScopeDispose, ref, shallowRef } from 'vue';
import { api, ApiError } from '../api/client';
import type { Problem, System } from '../api/types';

export const poll_interval_ms = 2_000;
export const rates_count_max = 150; // 5 minutes

export const system = shallowRef<System>();
export const systemProblem = shallowRef<Problem>();
export const rates = ref<number[]>([]);
export const rate = computed(() => rates.value.at(-1));

let last: { received: number; at: number } | undefined;

/** Messages per second between two looks; a counter that went back means the hub restarted: count from zero. */
export function rateBetween(before: { received: number; at: number }, after: { received: number; at: number }): number {
  const seconds = (after.at - before.at) / 1000;
  if (seconds <= 0) return 0;
  const grown = after.received >= before.received ? after.received - before.received : after.received;
  return grown / seconds;
}

export async function pollSystem(): Promise<void> {
  try {
    const answer = await api.system();
    const look = { received: answer.messages?.received ?? 0, at: performance.now() };
    if (last) rates.value = [...rates.value.slice(1 - rates_count_max), rateBetween(last, look)];
    last = look;
    system.value = answer;
    systemProblem.value = undefined;
  } catch (error) {
    if (error instanceof ApiError) systemProblem.value = error.problem;
  }
}

/** Polls while the calling component lives; a hidden tab rests. */
export function useSystem(interval_ms = poll_interval_ms): void {
  void pollSystem();
  const timer = setInterval(() => {
    if (!document.hidden) void pollSystem();
  }, interval_ms);
  onScopeDispose(() => clearInterval(timer));
}
