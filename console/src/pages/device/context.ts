// What the tabs of one device page share: the device, its model, current values, and what the stream brings.

import { inject, provide, type InjectionKey, type Ref, type ShallowRef } from 'vue';
import type { Device, DeviceRef, MessageEventData, PropertyEvent, PropertyState, ThingEvent } from '../../api/types';
import type { ThingModel } from '../../lib/model';

export interface DeviceContext {
  ref: DeviceRef;
  device: ShallowRef<Device | undefined>;
  model: ShallowRef<ThingModel>;
  states: ShallowRef<PropertyState[]>;
  /** Recent numbers per property for the small lines. */
  recent: Map<string, number[]>;
  recentVersion: Ref<number>;
  messages: ShallowRef<MessageEventData[]>;
  messagesDropped: Ref<number>;
  newEvents: ShallowRef<ThingEvent[]>;
  onProperty(listener: (event: PropertyEvent) => void): () => void;
  reload(): Promise<void>;
  putState(state: PropertyState): void;
}

const key: InjectionKey<DeviceContext> = Symbol('device');
export const provideDevice = (context: DeviceContext): void => provide(key, context);
export function useDevice(): DeviceContext {
  const context = inject(key);
  if (!context) throw new Error('a device tab was used outside the device page');
  return context;
}
