import { fileURLToPath } from 'node:url';
import tailwindcss from '@tailwindcss/vite';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

const server = process.env.UOS_SERVER ?? 'http://127.0.0.1:7700';
const proxied = [
  '/apps',
  '/sessions',
  '/registry',
  '/requests',
  '/uos.v1.Kernel',
  '/files',
  '/login',
  '/logout',
  '/system',
];

export default defineConfig({
  plugins: [react(), tailwindcss()],
  resolve: { alias: { '@': fileURLToPath(new URL('./src', import.meta.url)) } },
  build: { target: 'es2023', sourcemap: false, reportCompressedSize: true },
  server: {
    host: '127.0.0.1',
    proxy: {
      ...Object.fromEntries(proxied.map((path) => [path, server])),
      '/events': { target: server, ws: true },
    },
  },
});
