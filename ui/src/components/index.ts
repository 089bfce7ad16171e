export { AppIcon, type AppIconProps } from './AppIcon';
export { Button, type ButtonProps, type ButtonVariant } from './Button';
export { Choice, type ChoiceProps } from './Choice';
export { cx } from './cx';
export { Dialog, type DialogProps } from './Dialog';
export { FLOATING, floating, focusWhenFree, keepFocus, useFocusReturn } from './floating';
export { IconButton, type IconButtonProps } from './IconButton';
export { Field, type FieldProps, Input, type InputProps, Select, TextArea } from './Input';
export { Keys } from './Kbd';
export {
  ContextMenu,
  Menu,
  MenuItem,
  type MenuItemProps,
  MenuLabel,
  type MenuProps,
  MenuSeparator,
} from './Menu';
export { Popover, type PopoverProps } from './Popover';
export { ProcessMark } from './ProcessMark';
export {
  Delayed,
  EmptyState,
  type EmptyStateProps,
  ErrorState,
  type ErrorStateProps,
  Skeleton,
  SkeletonRows,
} from './states';
export { Cell, HeadCell, type HeadCellProps, Row, Table } from './Table';
export { Tooltip, type TooltipProps, TooltipProvider } from './Tooltip';
export { type Notice, type Toast, type ToastTone, toast, useToasts } from './toast';
