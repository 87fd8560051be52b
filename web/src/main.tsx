import { render } from 'preact'
import { App } from './app'
import './styles/tokens.css'
import './styles/base.css'
import './styles/components.css'
import './styles/shell.css'
import './styles/explore.css'
import './styles/plot.css'
import './styles/status.css'
import './styles/cards.css'

const app = document.getElementById('app')
if (app) {
  app.replaceChildren()
  render(<App />, app)
}
