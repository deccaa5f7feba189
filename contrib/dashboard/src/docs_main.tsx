/*
 * docs_main.tsx - the document of /docs.
 */
import './style/index.css'
import { render } from 'preact'
import { DocsPage } from './pages/docs/docs.tsx'
import { applyPrefs } from './state/prefs.ts'
import { startSession } from './state/session.ts'

applyPrefs()
startSession()
render(<DocsPage />, document.getElementById('app')!)
