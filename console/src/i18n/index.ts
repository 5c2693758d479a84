// A language is a typed dictionary; switching is one reactive value. Nothing is loaded from elsewhere.

import { computed } from 'vue';
import { preferences } from '../store/preferences';
import { en, type MessageKey } from './en';
import { zh } from './zh';

export type { MessageKey };
export type Language = 'en' | 'zh';

const dictionaries: Record<Language, Record<MessageKey, string>> = { en, zh };

export function fill(text: string, values?: Record<string, string | number>): string {
  if (!values) return text;
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => (name in values ? String(values[name]) : whole));
}

export function t(key: MessageKey, values?: Record<string, string | number>): string {
  return fill(dictionaries[preferences.language][key], values);
}

/** BCP 47 tag for Intl and for <html lang>. */
export const locale = computed(() => (preferences.language === 'zh' ? 'zh-CN' : 'en'));
