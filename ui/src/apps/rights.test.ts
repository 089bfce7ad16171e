import { expect, it } from 'vitest';
import { asks, sayGrant, sayRight } from './rights';

it.each([
  ['fs.read:/**', 'Read every file'],
  ['fs.write:/home/**', 'Create, change and delete what is in /home'],
  ['fs.read:/etc/hosts', 'Read /etc/hosts'],
  ['proc.spawn:/usr/bin/*', 'Start /usr/bin/*'],
  ['proc.spawn', 'Start every program'],
  ['proc.signal', 'End and signal every process'],
  ['net.connect:*', 'Connect to any address'],
  ['net.connect:example.org:443', 'Connect to example.org:443'],
  ['sys.info', 'Learn about the machine'],
  ['time.travel:1999', 'Use time.travel:1999'],
  ['ask:fs.write:/home/**', 'May ask to create, change and delete what is in /home'],
  ['ask:net.connect:unix:/run/**', 'May ask to connect to unix:/run/**'],
  ['ask:sys.info', 'May ask to learn about the machine'],
])('%s is “%s”', (grant, words) => expect(sayGrant(grant)).toBe(words));

it('tells leave to ask from a right, and a right in the midst of a sentence', () => {
  expect(['ask:fs.read:/a', 'fs.read:/ask:', 'asking', 'ask'].filter(asks)).toEqual(['ask:fs.read:/a']);
  expect(sayRight('fs.write:/home/asked')).toBe('create, change and delete /home/asked');
});
