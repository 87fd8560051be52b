import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { defineConfig, type Plugin } from 'vite'

const outDir = '../api/web/dist'

/** Replaces each asset by its gzip: the server embeds and sends only that. */
function compressed(): Plugin {
  return {
    name: 'compressed',
    apply: 'build',
    closeBundle() {
      const dir = join(import.meta.dirname, outDir, 'assets')
      for (const name of readdirSync(dir)) {
        const file = join(dir, name)
        writeFileSync(file + '.gz', gzipSync(readFileSync(file), { level: 9 }))
        rmSync(file)
      }
    },
  }
}

export default defineConfig({
  base: './', // every page lies directly below /ui/, wherever a proxy puts that
  plugins: [compressed()],
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir,
    emptyOutDir: true,
    assetsInlineLimit: 0, // the policy forbids data: addresses
    modulePreload: { polyfill: false },
    cssCodeSplit: false,
    target: 'es2022',
    reportCompressedSize: false,
    chunkSizeWarningLimit: 1000,
  },
  server: { proxy: Object.fromEntries(['/api', '/metrics', '/-'].map((path) => [path, process.env.TSDB ?? 'http://localhost:9201'])) },
  test: { include: ['src/**/*.test.ts'] },
} as Parameters<typeof defineConfig>[0])
