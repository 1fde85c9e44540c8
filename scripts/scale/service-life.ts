// The service on the repository of 16.4 million files: how it starts, what it keeps in memory, how fast it publishes.
import { oneAtATime } from '../bench/load.ts';
import { MeasuredService } from '../bench/service.ts';
import { processFigures } from './measured-process.ts';

const STARTS = 3;

export interface ServiceLife {
  readonly startMs: readonly number[];
  readonly publicationsPerSecond: number;
  readonly publications: number;
  readonly peakMb?: number;
}

/** `folder`: an installation whose bins are all signed; `publications`: of one event each. */
export async function serviceLife(folder: string, publications: number): Promise<ServiceLife> {
  const startMs: number[] = [];
  let service = await MeasuredService.start(folder);
  startMs.push(service.startMs);
  while (startMs.length < STARTS) {
    await service.stop();
    service = await MeasuredService.start(folder);
    startMs.push(service.startMs);
  }
  let figures: Pick<ServiceLife, 'publicationsPerSecond' | 'peakMb'>;
  try {
    await oneAtATime(service, publications / 5);
    const publicationsPerSecond = await oneAtATime(service, publications);
    const { peakMb } = processFigures(service.pid);
    figures = { publicationsPerSecond, ...(peakMb === undefined ? {} : { peakMb }) };
  } finally {
    await service.stop();
  }
  return { startMs, publications, ...figures };
}
