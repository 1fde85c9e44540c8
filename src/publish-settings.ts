// What the configuration says about publications, for every process that makes them: a service, and a command that carries
// out an order where no service runs.
import type { Config } from './config.ts';
import type { PublishSettings } from './publish/settings.ts';

export function publishSettings({
  publish,
  lifetimes,
  simpleIndex,
}: Pick<Config, 'publish' | 'lifetimes' | 'simpleIndex'>): PublishSettings {
  return { ...publish, lifetimes, renderPages: simpleIndex === 'render' };
}
