import { useEffect, useState } from 'react';

const KEY = 'replichat.theme';
const THEMES = ['system', 'light', 'dark'] as const;

export type Theme = (typeof THEMES)[number];

export function chosenTheme(): Theme {
  const chosen = localStorage.getItem(KEY);
  return THEMES.find((theme) => theme === chosen) ?? 'system';
}

/** Every colour of the style sheets is a light-dark() pair, which follows color-scheme. */
export function applyTheme(theme: Theme = chosenTheme()): void {
  localStorage.setItem(KEY, theme);
  document.documentElement.style.colorScheme = theme === 'system' ? 'light dark' : theme;
  dispatchEvent(new Event('themechange'));
}

export function nextTheme(theme: Theme): Theme {
  return THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length] ?? 'system';
}

/** Rises whenever the colours change, for what the style sheets do not reach. */
export function useColorChange(): number {
  const [changes, setChanges] = useState(0);
  useEffect(() => {
    const onChange = () => setChanges((count) => count + 1);
    const system = matchMedia('(prefers-color-scheme: dark)');
    system.addEventListener('change', onChange);
    addEventListener('themechange', onChange);
    return () => {
      system.removeEventListener('change', onChange);
      removeEventListener('themechange', onChange);
    };
  }, []);
  return changes;
}
