export * from './chord';
export * from './form';
export * from './gestures';
export * from './keyboard';
export * from './pointer';
export * from './values';
