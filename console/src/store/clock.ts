// One ticking clock for all ages on the page: a timer per label would wake the browser thousands of times a second.

import { ref } from 'vue';

export const now = ref(Date.now());
if (typeof window !== 'undefined') setInterval(() => (now.value = Date.now()), 1000);
