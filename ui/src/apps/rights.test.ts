import { expect, it } from 'vitest';
import { sayGrant } from './rights';

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
])('%s is “%s”', (grant, words) => expect(sayGrant(grant)).toBe(words));
