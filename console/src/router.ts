// Every screen is a stable URL. Pages load on demand, so that the first paint stays small.

import { createRouter, createWebHistory } from 'vue-router';
import { api, ApiError, whenSignedOut } from './api/client';
import { forget, restore, session } from './store/session';
import { tellProblem } from './store/notices';

export const router = createRouter({
  history: createWebHistory('/'),
  routes: [
    { path: '/setup', name: 'setup', component: () => import('./pages/Setup.vue'), meta: { open: true } },
    { path: '/sign-in', name: 'sign-in', component: () => import('./pages/SignIn.vue'), meta: { open: true } },
    {
      path: '/',
      component: () => import('./components/Shell.vue'),
      children: [
        { path: '', name: 'home', component: () => import('./pages/Home.vue') },
        { path: 'devices', name: 'devices', component: () => import('./pages/Devices.vue') },
        { path: 'devices/:productKey/:deviceName', name: 'device', component: () => import('./pages/Device.vue') },
        { path: 'products', name: 'products', component: () => import('./pages/Products.vue') },
        { path: 'products/:productKey', name: 'product', component: () => import('./pages/Product.vue') },
        { path: 'gateways', name: 'gateways', component: () => import('./pages/Gateways.vue') },
        {
          path: 'gateways/:productKey/:deviceName',
          redirect: (to) => ({ name: 'device', params: to.params, query: { tab: 'subdevices' } }),
        },
        { path: 'access', name: 'access', component: () => import('./pages/Access.vue') },
        { path: ':rest(.*)*', name: 'nothing', component: () => import('./pages/Nothing.vue') },
      ],
    },
  ],
  scrollBehavior: (_to, _from, saved) => saved ?? { top: 0 },
});

/** Only a path of this console: an address from the query must not lead elsewhere. */
export function safeReturn(path: unknown): string {
  return typeof path === 'string' && /^\/(?![/\\])/.test(path) ? path : '/';
}

router.beforeEach(async (to) => {
  if (to.meta['open'] || session.known) return true;
  try {
    if (await restore()) return true;
    const state = await api.setupState();
    return state.needed ? { name: 'setup' } : { name: 'sign-in', query: to.fullPath === '/' ? {} : { to: to.fullPath } };
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    tellProblem(error); // the hub is away: the sign-in page is the place to try again from
    return { name: 'sign-in', query: { to: to.fullPath } };
  }
});

whenSignedOut(() => {
  if (!session.known) return;
  forget();
  const from = router.currentRoute.value;
  if (!from.meta['open']) void router.push({ name: 'sign-in', query: { to: from.fullPath } });
});
