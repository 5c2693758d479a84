// Products and their models, read once and kept while the page lives; a change here refreshes them.

import { shallowReactive, shallowRef } from 'vue';
import { api } from '../api/client';
import type { Product } from '../api/types';
import { readModel, type ThingModel } from '../lib/model';

export const products = shallowRef<Product[]>();
const models = shallowReactive(new Map<string, ThingModel>());
const asked = new Map<string, Promise<ThingModel>>();

export async function loadProducts(): Promise<Product[]> {
  const page = await api.products();
  products.value = page.items;
  return page.items;
}

/** The model if it is here; asks for it otherwise. A product that has none gives an empty model. */
export function modelOf(productKey: string): ThingModel | undefined {
  const held = models.get(productKey);
  if (!held) void loadModel(productKey).catch(() => undefined);
  return held;
}

export function loadModel(productKey: string, fresh = false): Promise<ThingModel> {
  const running = asked.get(productKey);
  if (running && !fresh) return running;
  const promise = api.model(productKey).then((tsl) => {
    const model = readModel(tsl);
    models.set(productKey, model);
    return model;
  });
  asked.set(productKey, promise);
  promise.catch(() => setTimeout(() => asked.delete(productKey), 5_000)); // a failed read may be tried again, not at once
  return promise;
}
