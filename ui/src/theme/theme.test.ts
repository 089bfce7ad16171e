import { afterEach, describe, expect, it } from 'vitest';
import { processHue } from './process';
import { applyTheme, toggleTheme, useTheme } from './theme';

describe('the theme', () => {
  afterEach(() => localStorage.clear());

  it('stands on the document and is remembered', () => {
    const stop = applyTheme();
    useTheme.getState().setTheme('dark');
    expect(document.documentElement.dataset.theme).toBe('dark');
    toggleTheme();
    expect(document.documentElement.dataset.theme).toBe('light');
    useTheme.getState().setContrast('more');
    expect(document.documentElement.dataset.contrast).toBe('more');
    expect(localStorage.getItem('uos.theme')).toContain('"theme":"light"');
    stop();
    toggleTheme();
    expect(document.documentElement.dataset.theme).toBe('light');
  });
});

describe('process colours', () => {
  it('keep neighbouring pids apart', () => {
    for (let pid = 1; pid < 500; pid += 1) {
      const apart = Math.abs(processHue(pid) - processHue(pid + 1));
      expect(Math.min(apart, 360 - apart)).toBeGreaterThan(100);
    }
  });
});
