// The files of an index of PyPI's size, each a function of its number: nothing has to be kept to know all of them, and
// every run makes the same. Names, tags, lengths and folders have the shapes, and roughly the shares, that PyPI's have: few
// projects have most of the files, two fifths are source distributions, and paths have 112 bytes on average.
import type { TargetFile } from '../../src/tuf/metadata.ts';

/** Files of PyPI in the year 2025, rounded. */
export const PYPI_FILES = 16_400_000;

const PROJECTS = 600_000;

export interface PypiFile {
  readonly path: string;
  readonly target: TargetFile;
}

/** Parts of project names. */
const WORDS = (
  'py django flask data sci ml ai net core flow lib test fast tiny cloud graph tool aws azure google types client ' +
  'server async http json xml yaml sql redis kafka torch tensor vision audio video text parser utils plugin pytest ' +
  'sphinx mkdocs jupyter notebook plot stats geo crypto auth oauth api sdk cli web bot chain block model schema query ' +
  'cache queue task stream log metrics trace open simple easy super mini pro next'
).split(' ');

/** What follows the version in the name of a file, by share. */
const FORMS: readonly (readonly [share: number, ending: string])[] = [
  [38, '.tar.gz'],
  [1, '.zip'],
  [33, '-py3-none-any.whl'],
  [5, '-py2.py3-none-any.whl'],
  ...['cp38', 'cp39', 'cp310', 'cp311', 'cp312', 'cp313'].flatMap((tag) =>
    [
      'manylinux_2_17_x86_64.manylinux2014_x86_64',
      'manylinux_2_17_aarch64.manylinux2014_aarch64',
      'musllinux_1_2_x86_64',
      'macosx_10_13_x86_64',
      'macosx_11_0_arm64',
      'win_amd64',
      'win32',
    ].map((platform) => [0.55, `-${tag}-${tag}-${platform}.whl`] as const),
  ),
];

/** The forms, each as often as its share, so that a random number picks one. */
const PICKS = FORMS.flatMap(([share, ending]) => Array<string>(Math.round(share * 20)).fill(ending));

export function pypiFile(number: number): PypiFile {
  const mix = scramble(number ^ 0x51ed270b);
  const more = scramble(mix + number);
  const ending = PICKS[mix % PICKS.length] ?? '.tar.gz';
  const own = projectName(projectOf(more));
  // PEP 427: a wheel's name has underscores for everything that is not a letter, a digit or a dot.
  const name = ending.endsWith('.whl') ? own.replaceAll('-', '_') : own;
  const release = scramble(more ^ 0x2545f491);
  const version = `${release & 3}.${(release >>> 2) & 31}.${(release >>> 7) & 15}`;
  const folder = hexWords(number, 0);
  return {
    path: `packages/${folder.slice(0, 2)}/${folder.slice(2, 4)}/${folder.slice(4)}/${name}-${version}${ending}`,
    target: { length: lengthOf(scramble(release)), hashes: { sha256: hexWords(number, 8) } },
  };
}

/** Project `p` of so many: half of all files belong to an eighth of the projects. */
function projectOf(random: number): number {
  const share = random / 0x1_0000_0000;
  return Math.floor(share * share * share * PROJECTS);
}

function projectName(project: number): string {
  const mix = scramble(project + 0x9e3779b1);
  const word = (shift: number): string => WORDS[(mix >>> shift) % WORDS.length] ?? '';
  const count = 1 + (mix & 1) + (mix & 6 ? 0 : 1);
  const name = [word(3), word(11), word(19)].slice(0, count).join('-');
  return mix >>> 30 === 0 ? name : `${name}${project % 100}`;
}

/** Bytes: a median of some 60 KB, few over 100 MB. */
function lengthOf(random: number): number {
  const magnitude = 10 + ((random & 0xff) / 256) ** 1.5 * 17;
  return Math.floor(2 ** magnitude) + ((random >>> 8) % 1024);
}

/** 64 hex digits that look random. */
function hexWords(number: number, salt: number): string {
  let hex = '';
  for (let i = 0; i < 8; i++) {
    const word = scramble(number + Math.imul(salt + i + 33, 0x9e3779b1));
    hex += HEX16[scramble(word ^ number) >>> 16] ?? '';
    hex += HEX16[scramble(word + number) & 0xffff] ?? '';
  }
  return hex;
}

const HEX16 = Array.from({ length: 0x1_0000 }, (_, value) => value.toString(16).padStart(4, '0'));

/** The finaliser of MurmurHash3: every bit of the input changes half of the output. */
function scramble(value: number): number {
  let x = value | 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}
