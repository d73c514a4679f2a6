import axe from 'axe-core';
import type { Page } from 'playwright-core';

/** What axe calls serious or critical on the page as it is now, with the first element of each. */
export async function barriers(page: Page): Promise<string[]> {
  // The page's policy lets no script in but its own; what a test evaluates is none of the page.
  await page.evaluate(axe.source);
  const violations = await page.evaluate<{ id: string; impact: string; html: string }[]>(
    'axe.run().then(({ violations }) => violations.map(({ id, impact, nodes }) => ({ id, impact, html: nodes[0].html })))',
  );
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, html }) => `${id}: ${html.slice(0, 200)}`);
}
