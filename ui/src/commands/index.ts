export { useCommandChords } from './listen';
export {
  type Command,
  type CommandGroup,
  registerCommands,
  runCommand,
  useCommandKeys,
  useCommandList,
  useCommands,
} from './registry';
