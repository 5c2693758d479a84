// The colours of styles.css as Naive UI wants them. One table, two themes.

import { darkTheme, type GlobalTheme, type GlobalThemeOverrides } from 'naive-ui';

const sans = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "PingFang SC", "Microsoft YaHei", "WenQuanYi Micro Hei", sans-serif';
const mono = 'ui-monospace, "SF Mono", "Cascadia Mono", "JetBrains Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace';

const shared = { fontFamily: sans, fontFamilyMono: mono, borderRadius: '7px', borderRadiusSmall: '5px', fontSize: '14px', fontWeightStrong: '600' };

const light: GlobalThemeOverrides = {
  common: {
    ...shared,
    primaryColor: '#0b6b80', primaryColorHover: '#0e7d95', primaryColorPressed: '#085667', primaryColorSuppl: '#0e7d95',
    errorColor: '#b3261e', errorColorHover: '#c43b33', errorColorPressed: '#921d17', warningColor: '#8a5200', successColor: '#17713f',
    textColorBase: '#14212a', textColor1: '#14212a', textColor2: '#24333d', textColor3: '#566873', placeholderColor: '#6b7b85',
    borderColor: '#d5dde1', dividerColor: '#e3e9ec', bodyColor: '#f3f6f7', cardColor: '#ffffff', modalColor: '#ffffff', popoverColor: '#ffffff', inputColor: '#ffffff',
  },
};

const night: GlobalThemeOverrides = {
  common: {
    ...shared,
    primaryColor: '#4fc4d6', primaryColorHover: '#6dd3e2', primaryColorPressed: '#37a9bb', primaryColorSuppl: '#37a9bb',
    errorColor: '#ff8a80', errorColorHover: '#ffa69e', errorColorPressed: '#e8746a', warningColor: '#f0b454', successColor: '#4fc98a',
    textColorBase: '#e6edf1', textColor1: '#e6edf1', textColor2: '#d3dde3', textColor3: '#9bacb6', placeholderColor: '#84969f',
    borderColor: '#32414a', dividerColor: '#28353d', bodyColor: '#0e1418', cardColor: '#151d23', modalColor: '#182128', popoverColor: '#1d2830', inputColor: '#10181d',
  },
  // The dark theme draws fields without an edge; people need to see where a field is.
  Input: { border: '1px solid #3f515c' },
  InternalSelection: { border: '1px solid #3f515c' },
};

export const naiveTheme = (dark: boolean): GlobalTheme | null => (dark ? darkTheme : null);
export const naiveOverrides = (dark: boolean): GlobalThemeOverrides => (dark ? night : light);
