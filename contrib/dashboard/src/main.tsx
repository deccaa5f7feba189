import { render } from 'preact'

render(<h1>tallyd</h1>, document.getElementById('app')!)
