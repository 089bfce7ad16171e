import { expect, it } from 'vitest';
import { EXAMPLE, readDraft } from './draft';

it('takes the example', () => {
  expect(readDraft(EXAMPLE)).toMatchObject({ ok: true, draft: { id: 'counter', title: 'Counter' } });
});

it('says all that is wrong, with places and lines', () => {
  const read = readDraft(
    '{\n  "id": "Bad Id",\n  "ui_spec": "x",\n  "windw": {},\n  "window": { "width": "wide" }\n}',
  );
  if (read.ok) throw new Error('taken');
  const at = Object.fromEntries(read.problems.map((problem) => [problem.place, problem]));
  expect(at.id).toMatchObject({ line: 2, message: expect.stringContaining('small letters') });
  expect(at.title).toMatchObject({ line: null, message: 'It is missing.' });
  expect(at.ui_spec?.line).toBe(3);
  expect(at.windw).toMatchObject({ line: 4, message: 'A manifest has no such field.' });
  expect(at['window.width']?.line).toBe(5);
});

it('says what is not JSON', () => {
  expect(readDraft('{"id": ')).toMatchObject({
    ok: false,
    problems: [{ message: expect.stringContaining('not JSON') }],
  });
  expect(readDraft('')).toMatchObject({ ok: false });
});
