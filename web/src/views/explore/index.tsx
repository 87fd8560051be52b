import { Empty } from '../../components/states'
import type { ViewProps } from '..'

export default function Explore(_: ViewProps) {
  return <Empty title="Explore" />
}
