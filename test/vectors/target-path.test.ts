// Interop rule 5: which target paths may be published. Each refused form fails in at least one known client.
import { describe, expect, test } from 'vitest';
import { checkTargetPath, MAX_TARGET_DEPTH, MAX_TARGET_PATH_LENGTH, targetPathProblem } from '../../src/tuf/target-path.ts';

describe('target paths', () => {
  test.each([
    'a',
    'packages/ab/cd/demo-1.0+local.1-py3-none-any.whl',
    'simple/zope.interface/index.html',
    '@scope/name~1!2_3',
    Array(MAX_TARGET_DEPTH).fill('d').join('/'),
    'x'.repeat(MAX_TARGET_PATH_LENGTH),
  ])('%s is allowed', (path) => {
    expect(targetPathProblem(path)).toBeUndefined();
  });

  test.each([
    ['', /is empty/],
    ['/a', /starts with "\/"/],
    ['a/', /ends with "\/"/],
    ['a//b', /empty segment/],
    ['a/../b', /"\.\."/],
    ['a/./b', /"\."/],
    ['.well-known/x', /starts with "\."/],
    ['a b', /character " "/],
    ['a%2fb', /character "%"/],
    ['a?b', /character "\?"/],
    ['a#b', /character "#"/],
    ['a\\b', /character/],
    ['a\nb', /character/],
    ['ä', /character "ä"/],
    ['😀', /character "😀"/],
    ['__proto__', /property name/],
    ['a/constructor', /property name/],
    ['toString/x', /property name/],
    [Array(MAX_TARGET_DEPTH + 1).fill('d').join('/'), /33 segments, at most 32/],
    ['x'.repeat(MAX_TARGET_PATH_LENGTH + 1), /1025 characters, at most 1024/],
  ])('%j is refused', (path, reason) => {
    expect(targetPathProblem(path)).toMatch(reason);
    expect(() => {
      checkTargetPath(path);
    }).toThrow(expect.objectContaining({ code: 'path-forbidden' }));
  });
});
