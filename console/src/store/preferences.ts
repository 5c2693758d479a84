// Language and theme: the two choices this browser remembers. Broken or forbidden storage means the defaults.

import { computed, reactive, ref, watch } from 'vue';

export type ThemeChoice = 'auto' | 'light' | 'dark';

const storage_key = 'brim.console.preferences';

function read(): { language?: string; theme?: string } {
  try {
    return (JSON.parse(localStorage.getItem(storage_key) ?? '{}') ?? {}) as { language?: string; theme?: string };
  } catch {
    return {};
  }
}

const stored = read();
const preferred = typeof navigator === 'undefined' ? 'en' : navigator.language;

export const preferences = reactive({
  language: (stored.language === 'zh' || stored.language === 'en' ? stored.language : preferred.toLowerCase().startsWith('zh') ? 'zh' : 'en') as 'en' | 'zh',
  theme: (stored.theme === 'light' || stored.theme === 'dark' ? stored.theme : 'auto') as ThemeChoice,
});

const systemDark = ref(false);
if (typeof matchMedia !== 'undefined') {
  const query = matchMedia('(prefers-color-scheme: dark)');
  systemDark.value = query.matches;
  query.addEventListener('change', (event) => (systemDark.value = event.matches));
}

export const dark = computed(() => (preferences.theme === 'auto' ? systemDark.value : preferences.theme === 'dark'));

if (typeof document !== 'undefined') {
  watch(
    [() => preferences.language, () => preferences.theme, dark],
    () => {
      document.documentElement.lang = preferences.language === 'zh' ? 'zh-CN' : 'en';
      document.documentElement.dataset['theme'] = dark.value ? 'dark' : 'light';
      try {
        localStorage.setItem(storage_key, JSON.stringify({ language: preferences.language, theme: preferences.theme }));
      } catch {
        // Private windows may forbid storage; the choice then lasts as long as the page.
      }
    },
    { immediate: true },
  );
}
