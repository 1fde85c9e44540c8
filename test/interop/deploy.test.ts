// What docs/deploy/Dockerfile says, done without a container engine: its steps as plain commands on a copy of exactly
// what its ignore file lets through, its result run by its numeric user, without capabilities, from a tree that it cannot
// write to; and the systemd unit, judged by systemd itself. The image is not built here.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { tempDir } from '../support/temp-dir.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const execute = promisify(execFile);

/** Why a test cannot run here, if it cannot: printed, so that it is never skipped in silence. */
async function lacking(programs: readonly string[], needsRoot: boolean): Promise<string | undefined> {
  for (const program of programs) {
    const there = await execute(program, ['--version']).then(
      () => true,
      () => false,
    );
    if (!there) return `${program} is not installed`;
  }
  return needsRoot && process.getuid?.() !== 0 ? 'only root can become another user' : undefined;
}

test('the steps of the Dockerfile, and its result as user 65532 from a tree that it cannot write to', async (context) => {
  const reason = await lacking(['setpriv', 'npm'], true);
  if (reason !== undefined) context.skip(`skipped: container steps: ${reason}`);
  const dockerfile = await readFile(path.join(ROOT, 'docs/deploy/Dockerfile'), 'utf8');
  const ignore = await readFile(path.join(ROOT, 'docs/deploy/Dockerfile.dockerignore'), 'utf8');
  const folder = await tempDir();
  const [build, program, data] = ['build', 'program', 'data'].map((name) => path.join(folder, name)) as [
    string,
    string,
    string,
  ];
  await chmod(folder, 0o711);
  await mkdir(build);
  const kept = [...ignore.matchAll(/^!(.+)$/gm)].map(([, name = '']) => name);
  for (const name of kept) await cp(path.join(ROOT, name), path.join(build, name), { recursive: true });

  const steps = [...dockerfile.matchAll(/^RUN (.+)$/gm)].map(([, command = '']) => command);
  expect(steps.length).toBe(3);
  for (const step of steps)
    await execute('sh', ['-c', step], { cwd: build, timeout: 280_000, maxBuffer: 1e7 });
  await mkdir(program);
  const copies = [...dockerfile.matchAll(/^COPY --from=build (.+) \/countersign\/\S*$/gm)];
  for (const name of copies.flatMap(([, names = '']) => names.split(' '))) {
    const relative = name.replace('/countersign/', '');
    await cp(path.join(build, relative), path.join(program, relative), {
      recursive: true,
      verbatimSymlinks: true,
    });
  }
  await execute('chmod', ['-R', 'a+rX,go-w', program]);
  const sum = async (): Promise<string> =>
    (
      await execute('sh', ['-c', 'find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum'], {
        cwd: program,
      })
    ).stdout;
  const before = await sum();

  // As users meet it: a ceremony's result in the volume, which is all that the user may write to.
  const ceremony = path.join(program, 'dist/keys-ceremony/main.js');
  await execute(process.execPath, [ceremony, 'rehearse', '--out', data, '--bins', '16']);
  await execute('chown', ['-R', '65532:65532', data]);
  const user = /^USER (\d+):(\d+)$/m.exec(dockerfile);
  const confined = [
    '--reuid',
    user?.[1] ?? '',
    '--regid',
    user?.[2] ?? '',
    '--clear-groups',
    '--no-new-privs',
  ];
  const limits = [...confined, '--bounding-set=-all', '--inh-caps=-all'];
  const env = { ...process.env, NODE_ENV: 'production', COUNTERSIGN_LISTEN: '127.0.0.1:0' };
  const main = path.join(program, 'dist/src/main.js');
  const run = (...args: string[]) =>
    execute('setpriv', [...limits, process.execPath, ...args], { cwd: data, env }).then(
      ({ stdout }) => ({ status: 0, stdout }),
      (error: unknown) => {
        const { code, stderr } = error as { code: number; stderr: string };
        return { status: code, stdout: stderr };
      },
    );
  const write = `require('fs').writeFileSync(${JSON.stringify(path.join(program, 'dist/x'))}, '')`;
  expect(await run('-e', write)).toMatchObject({
    status: 1,
    stdout: expect.stringContaining('EACCES') as string,
  });
  expect(await run('-e', 'console.log(process.getuid(), process.getgid())')).toMatchObject({
    stdout: '65532 65532\n',
  });
  expect(await run(main, 'bootstrap', 'bundle.json')).toMatchObject({ status: 0 });

  const command = /^CMD \[(.+)\]$/m.exec(dockerfile)?.[1]?.replaceAll('"', '').split(', ') ?? [];
  expect(command).toEqual(['serve']);
  const service = spawn('setpriv', [...limits, process.execPath, main, ...command, '--json'], {
    cwd: data,
    env,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const ended = once(service, 'close');
  onTestFinished(async () => {
    service.kill('SIGKILL');
    await ended;
  });
  let port = '';
  for await (const line of createInterface({ input: service.stdout })) {
    port = /"address":.*:(\d+)"/.exec(line)?.[1] ?? port;
    if (port !== '') break;
  }
  const check = /HEALTHCHECK .*CMD (\[.+\])$/m.exec(dockerfile)?.[1] ?? '[]';
  const [, ...args] = JSON.parse(check.replace('8458', port)) as string[];
  expect(await run(...args)).toMatchObject({ status: 0 });
  service.kill((/^STOPSIGNAL (\w+)$/m.exec(dockerfile)?.[1] ?? 'SIGKILL') as NodeJS.Signals);
  expect((await ended)[0]).toBe(0);
  expect(await run(...args)).toMatchObject({ status: 1 });
  expect(await run(main, 'fsck')).toMatchObject({ status: 0 });
  expect(await sum()).toBe(before);
}, 600_000);

test('systemd finds nothing wrong with the unit, and little that it exposes', async (context) => {
  const reason = await lacking(['systemd-analyze'], false);
  if (reason !== undefined) context.skip(`skipped: systemd unit: ${reason}`);
  const file = path.join(await tempDir(), 'countersign.service');
  const unit = await readFile(path.join(ROOT, 'docs/deploy/countersign.service'), 'utf8');
  // Whether the program is installed where the unit says is not what is looked at here.
  await writeFile(
    file,
    unit.replace('/usr/bin/node ', `${process.execPath} `).replace(/^Documentation=.*$/m, ''),
  );
  const { stdout, stderr } = await execute('systemd-analyze', ['verify', file]);
  expect(stdout + stderr).toBe('');
  const judged = await execute('systemd-analyze', ['security', '--offline=true', '--threshold=20', file]);
  const exposure = Number(/Overall exposure level for \S+: ([\d.]+)/.exec(judged.stdout)?.[1]);
  console.log(`systemd: exposure level ${exposure} of 10`);
  expect(exposure).toBeLessThanOrEqual(2);
});
