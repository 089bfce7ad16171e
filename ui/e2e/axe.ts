import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Every accessibility fault of the page, or of the parts that a selector names, in words. */
export async function violations(page: Page, within?: string, only?: 'color-contrast'): Promise<string[]> {
  // The page's policy forbids inline scripts; what a debugger evaluates is not the page's.
  if (!(await page.evaluate(() => 'axe' in globalThis))) await page.evaluate(axe);
  return page.evaluate(
    async ([selector, rule]) => {
      const context = selector ? { include: [[selector]] } : document;
      const options = { resultTypes: ['violations'], ...(rule ? { runOnly: [rule] } : {}) };
      // biome-ignore lint/suspicious/noExplicitAny: axe puts itself there
      const found = await (globalThis as any).axe.run(context, options);
      return found.violations.flatMap(
        (rule: { id: string; nodes: { html: string; failureSummary: string }[] }) =>
          rule.nodes.map(
            (node) => `${rule.id}: ${node.html.slice(0, 160)} ${node.failureSummary.slice(0, 200)}`,
          ),
      );
    },
    [within, only] as const,
  );
}
