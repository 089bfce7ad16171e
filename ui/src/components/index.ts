export { AppIcon, type AppIconProps } from './AppIcon';
export { Button, type ButtonProps, type ButtonVariant } from './Button';
export { cx } from './cx';
export { Dialog, type DialogProps } from './Dialog';
export { IconButton, type IconButtonProps } from './IconButton';
export { Field, type FieldProps, Input, type InputProps, Select, TextArea } from './Input';
export { Keys } from './Kbd';
export { Menu, MenuItem, type MenuItemProps, MenuLabel, type MenuProps, MenuSeparator } from './Menu';
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
export { type Toast, type ToastTone, toast, useToasts } from './toast';
