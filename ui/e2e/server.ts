import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** The real server, on a free port, with a data directory of its own that outlives its kills. */
export class Server {
  readonly dir = mkdtempSync(join(tmpdir(), 'uos-e2e-'));
  url = '';
  ticket = '';
  private child: ChildProcess | null = null;

  async start(): Promise<void> {
    const program = process.env.UOS_SERVER ?? '../target/debug/uos-server';
    if (!existsSync(program)) throw new Error(`${program} is not built; \`cargo xtask test e2e\` builds it`);
    const listen = this.url === '' ? '127.0.0.1:0' : new URL(this.url).host;
    const child = spawn(program, ['--listen', listen, '--data-dir', this.dir], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, RUST_LOG: 'error' },
    });
    this.child = child;
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
    for await (const line of lines) {
      const [, url] = /^listening on (\S+)/.exec(line) ?? [];
      if (url) this.url = url;
      const [, ticket] = /(\S+\/login\?ticket=\S+)/.exec(line) ?? [];
      if (ticket) {
        this.ticket = ticket;
        return;
      }
    }
    throw new Error('the server ended before it served');
  }

  get token(): string {
    return readFileSync(join(this.dir, 'token'), 'utf8');
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const { child } = this;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await ended;
  }

  async remove(): Promise<void> {
    await this.kill('SIGTERM');
    rmSync(this.dir, { recursive: true, force: true });
  }

  // biome-ignore lint/suspicious/noExplicitAny: a test says what it expects of an answer by using it
  async http(method: string, path: string, body?: unknown): Promise<any> {
    const answer = await fetch(this.url + path, {
      method,
      headers: { authorization: `Bearer ${this.token}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text === '' ? null : JSON.parse(text);
  }
}
