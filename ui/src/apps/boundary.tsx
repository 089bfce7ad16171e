import { Component, type ErrorInfo, type ReactNode } from 'react';
import { ErrorState } from '@/components';

interface Props {
  title: string;
  /** Called before what failed is drawn again. */
  onRetry?: () => void;
  children: ReactNode;
}

interface State {
  error: Error | null;
}

/** Keeps the failure of one app inside its own window. */
export class Boundary extends Component<Props, State> {
  override state: State = { error: null };

  static getDerivedStateFromError(error: unknown): State {
    return { error: error instanceof Error ? error : new Error(String(error)) };
  }

  override componentDidCatch(error: unknown, info: ErrorInfo): void {
    console.error(`${this.props.title} has failed.`, error, info.componentStack);
  }

  #retry = (): void => {
    this.props.onRetry?.();
    this.setState({ error: null });
  };

  override render(): ReactNode {
    const { error } = this.state;
    if (error === null) return this.props.children;
    const chunk = /dynamically imported module|Importing a module/i.test(error.message);
    return (
      <ErrorState
        title={chunk ? `${this.props.title} could not be loaded.` : `${this.props.title} has failed.`}
        hint={
          chunk
            ? 'The server can’t be reached, or has been updated since this page was opened.'
            : `${error.message} What it saved is not touched.`
        }
        retry={this.#retry}
      />
    );
  }
}
