// Draws a component again only when `same` says that its properties differ.

import { Component, type ComponentType, type FunctionComponent } from 'preact';

export function memo<P extends object>(
  Inner: FunctionComponent<P>,
  same: (a: P, b: P) => boolean
): ComponentType<P> {
  return class extends Component<P> {
    override shouldComponentUpdate(next: P): boolean {
      return !same(this.props, next);
    }
    override render(props: P) {
      return <Inner {...props} />;
    }
  };
}
