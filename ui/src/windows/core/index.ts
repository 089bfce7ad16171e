export * from './bounds';
export * from './cascade';
export * from './keyboard';
export * from './order';
export * from './snap';
export * from './transitions';
export * from './types';
export * from './viewport';
