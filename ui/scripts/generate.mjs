// Generates TypeScript from the .proto files into src/api/gen, without any network.
//
//   node scripts/generate.mjs            writes src/api/gen
//   node scripts/generate.mjs --check    fails when src/api/gen is not what would be written
//   node scripts/generate.mjs --proto=DIR  takes another folder of .proto files
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const ui = dirname(dirname(fileURLToPath(import.meta.url)));
const target = join(ui, 'src', 'api', 'gen');
const check = process.argv.includes('--check');
const proto =
  process.argv.find((argument) => argument.startsWith('--proto='))?.slice('--proto='.length) ??
  join(ui, '..', 'crates', 'uos-proto', 'proto');

/** Every file below a folder, as a map from its relative path to its text. */
function tree(root) {
  const files = new Map();
  const walk = (folder) => {
    let entries;
    try {
      entries = readdirSync(folder, { withFileTypes: true });
    } catch {
      return;
    }
    for (const entry of entries) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) walk(path);
      else files.set(relative(root, path), readFileSync(path, 'utf8'));
    }
  };
  walk(root);
  return files;
}

const fresh = mkdtempSync(join(tmpdir(), 'uos-gen-'));
try {
  const template = {
    version: 'v2',
    plugins: [
      {
        local: join(ui, 'node_modules', '.bin', 'protoc-gen-es'),
        out: fresh,
        opt: ['target=ts'],
      },
    ],
  };
  const buf = join(ui, 'node_modules', '.bin', 'buf');
  const run = spawnSync(buf, ['generate', proto, '--template', JSON.stringify(template)], {
    cwd: fresh,
    encoding: 'utf8',
  });
  if (run.error) throw run.error;
  if (run.status !== 0) {
    process.stderr.write(`${run.stdout}${run.stderr}`);
    process.exit(run.status ?? 1);
  }
  const made = tree(fresh);
  if (made.size === 0) {
    console.error(`No .proto files in ${proto}.`);
    process.exit(1);
  }
  const kept = tree(target);
  const stale = [...new Set([...made.keys(), ...kept.keys()])]
    .filter((path) => made.get(path) !== kept.get(path))
    .sort();
  if (check) {
    if (stale.length > 0) {
      console.error(`src/api/gen is stale: ${stale.join(', ')}. Run \`npm run generate\`.`);
      process.exit(1);
    }
    console.log(`src/api/gen is as the .proto files say (${made.size} files).`);
  } else {
    for (const path of stale) {
      const text = made.get(path);
      const file = join(target, path);
      if (text === undefined) {
        rmSync(file);
        continue;
      }
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, text);
    }
    console.log(`${made.size} files, ${stale.length} changed.`);
  }
} finally {
  rmSync(fresh, { recursive: true, force: true });
}
