// The device list of one page view: loaded page by page in the background, then kept fresh by the stream.
// Rows are plain objects in a Map; two version counters say "order or status changed" and "some value changed", so that
// ten thousand rows cost nothing while only their values move.

import { shallowRef } from 'vue';
import { ApiError } from '../api/client';
import { perFrame } from '../api/stream';
import type { Device, DeviceRef, Page, Problem, PropertyEvent, StatusEvent } from '../api/types';

/** Reads one page; `undefined` asks for the first. */
export type ReadPage = (cursor: string | undefined) => Promise<Page<Device>>;

export const keyOf = (ref: DeviceRef): string => `${ref.productKey}/${ref.deviceName}`;

export class DeviceList {
  readonly rows = new Map<string, Device>();
  /** Grows when rows come, go or change status. */
  readonly shape = shallowRef(0);
  /** Grows when values change. */
  readonly values = shallowRef(0);
  readonly total = shallowRef<number>();
  readonly loading = shallowRef(true);
  readonly problem = shallowRef<Problem>();
  private run = 0;
  private readonly shapeChanged = perFrame(() => (this.shape.value += 1));
  private readonly valuesChanged = perFrame(() => (this.values.value += 1));

  constructor(private readonly read: ReadPage) {}

  /** Reads all pages. A later call supersedes an earlier one; rows not seen again are dropped at the end. */
  async load(): Promise<void> {
    const run = (this.run += 1);
    const seen = new Set<string>();
    this.loading.value = true;
    this.problem.value = undefined;
    try {
      let cursor: string | undefined;
      do {
        const page = await this.read(cursor);
        if (run !== this.run) return;
        for (const device of page.items) {
          const key = keyOf(device);
          seen.add(key);
          this.put(key, device);
        }
        if (page.total !== undefined) this.total.value = page.total;
        this.shapeChanged();
        cursor = page.next ?? undefined;
      } while (cursor);
      for (const key of this.rows.keys()) if (!seen.has(key)) this.rows.delete(key);
      this.total.value = this.rows.size;
    } catch (error) {
      if (run !== this.run) return;
      if (error instanceof ApiError) this.problem.value = error.problem;
      else throw error;
    } finally {
      if (run === this.run) {
        this.loading.value = false;
        this.shapeChanged();
      }
    }
  }

  stop(): void {
    this.run += 1;
  }

  /** A page read before a newer connection must not undo what the stream already told: the epoch decides. */
  private put(key: string, device: Device): void {
    const held = this.rows.get(key);
    if (held && (held.epoch ?? 0) > (device.epoch ?? 0)) {
      device.status = held.status;
      device.statusSince = held.statusSince;
      device.epoch = held.epoch;
    }
    this.rows.set(key, device);
  }

  onStatus(event: StatusEvent): void {
    const row = this.rows.get(keyOf(event));
    if (!row) return;
    if (event.epoch !== undefined && row.epoch !== undefined && event.epoch < row.epoch) return;
    row.status = event.status;
    row.statusSince = event.since;
    row.statusReason = event.reason;
    if (event.epoch !== undefined) row.epoch = event.epoch;
    this.shapeChanged();
  }

  onProperty(event: PropertyEvent): void {
    const row = this.rows.get(keyOf(event));
    if (!row) return;
    applyValues(row, event);
    this.valuesChanged();
  }
}

/**
 * Newer values replace; a replayed old value never hides a newer one. A value held whose time lies ahead of the hub's
 * clock gives way to any live one ([current-1] of docs/spec/hub.md).
 */
export function applyValues(device: Device, event: PropertyEvent): void {
  device.properties ??= {};
  for (const [identifier, value] of Object.entries(event.values)) {
    const held = device.properties[identifier];
    const heldTime = held ? Date.parse(held.time) : 0;
    if (heldTime > event.time && (event.replayed || heldTime <= event.received)) continue;
    device.properties[identifier] = { value, time: new Date(event.time).toISOString() };
  }
  if (!device.lastSeen || Date.parse(device.lastSeen) < event.received) device.lastSeen = new Date(event.received).toISOString();
}
