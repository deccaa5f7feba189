/*
 * widget.tsx - a card with a heading whose data come and fail on their own.
 */
import type { ComponentChildren, JSX } from 'preact'
import { useId } from 'preact/hooks'
import type { Resource } from '../state/resource.ts'
import { FaultNote } from './fault.tsx'

interface CardProps {
  title: string
  area?: string
  busy?: boolean
  aside?: ComponentChildren
  children: ComponentChildren
}

export function Card({ title, area, busy, aside, children }: CardProps): JSX.Element {
  const id = useId()
  return (
    <section class={`card${area ? ` area-${area}` : ''}`} aria-labelledby={id} aria-busy={busy ? true : undefined}>
      <div class="card-head">
        <h2 id={id}>{title}</h2>
        {aside}
      </div>
      {children}
    </section>
  )
}

interface WidgetProps<T> {
  title: string
  area: string
  of: Resource<T>
  /** The same size as what comes in its place. */
  placeholder: ComponentChildren
  aside?: ComponentChildren
  children: (data: T) => ComponentChildren
}

export function Widget<T>({ title, area, of, placeholder, aside, children }: WidgetProps<T>): JSX.Element {
  const failed = of.fault !== null
  return (
    <Card title={title} area={area} aside={aside} busy={of.loading && of.data === undefined}>
      <div class="card-body">
        {failed && <FaultNote brief fault={of.fault!} onRetry={of.reload} />}
        {of.data !== undefined ? children(of.data) : !failed && placeholder}
      </div>
    </Card>
  )
}

/** A shimmering bar; `size` names its height in the style sheet. */
export function Shimmer({ size }: { size: string }): JSX.Element {
  return <div class={`shimmer shimmer-${size}`} aria-hidden="true" />
}

export function Shimmers({ size, count }: { size: string, count: number }): JSX.Element {
  return <>{Array.from({ length: count }, (_, i) => <Shimmer key={i} size={size} />)}</>
}

export function Empty({ children }: { children: ComponentChildren }): JSX.Element {
  return <p class="empty">{children}</p>
}
