export * from './core';
export * from './store/selectors';
export { onSettled, type SettledWhy } from './store/settled';
export { useWindows, type WindowsStore } from './store/windows';
