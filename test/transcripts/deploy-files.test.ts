// The files in docs/deploy name settings, codes and metrics: each of them must exist.
import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { parseConfig } from '../../src/config.ts';
import { ERRORS } from '../../src/lib/errors.ts';
import { createMetrics } from '../../src/lib/metrics.ts';

function read(name: string): Promise<string> {
  return readFile(new URL(`../../docs/deploy/${name}`, import.meta.url), 'utf8');
}

interface Rule {
  readonly alert: string;
  readonly expr: string;
}

describe('deployment files', () => {
  test('alerts name metrics that the service has, with labels that it gives, and codes of the catalogue', async () => {
    const { groups } = parse(await read('alerts.yaml')) as { groups: { rules: Rule[] }[] };
    const rules = groups.flatMap(({ rules: list }) => list);
    expect(rules.length).toBeGreaterThan(5);
    const { registry } = createMetrics();
    const known = new Map(registry.getMetricsAsArray().map((metric) => [metric.name, metric]));
    const page = await readFile(new URL('../../docs/operations.md', import.meta.url), 'utf8');
    for (const { alert, expr } of rules) {
      const uses = [
        ...expr.matchAll(
          /\b(countersign_[a-z_]+?)(?:_bucket)?(?:\{([a-z]+)(?:=~?)"([^"]*)"\})?(?=[\s)[]|$)/g,
        ),
      ];
      expect(uses.length, alert).toBeGreaterThan(0);
      for (const [, name = '', label, value = ''] of uses) {
        expect([...known.keys()], alert).toContain(name);
        const { labelNames } = known.get(name) as unknown as { labelNames: string[] };
        if (label !== undefined) expect(labelNames, alert).toContain(label);
        if (label === 'code')
          for (const code of value.split('|')) expect(Object.keys(ERRORS)).toContain(code);
      }
      expect(page, 'every alert is explained').toContain(alert);
    }
  });

  test('the environment of the containers and of the unit is one that the program reads', async () => {
    const compose = parse(await read('compose.yaml'), { merge: true }) as {
      services: Record<string, { environment: Record<string, string> }>;
    };
    const { environment } = compose.services['node-1'] ?? { environment: {} };
    const dockerfile = await read('Dockerfile');
    const unit = await read('countersign.service');
    const named = [...`${dockerfile}\n${unit}`.matchAll(/\b(COUNTERSIGN_[A-Z_]+)=(\S+)/g)];
    expect(named.length).toBe(2);
    const own = Object.fromEntries(named.map(([, name = '', value = '']): [string, string] => [name, value]));
    for (const env of [environment, own]) {
      const given = Object.entries(env).filter(([name]) => name.startsWith('COUNTERSIGN_'));
      const { config } = parseConfig({
        file: 'countersign.yaml',
        base: '/data',
        env: { COUNTERSIGN_AUTH_TOKENS: '/config/tokens.yaml', ...Object.fromEntries(given) },
      });
      expect(config.listen.port).toBe(8458);
    }
  });
});
