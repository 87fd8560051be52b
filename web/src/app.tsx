import type { ComponentType } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { Failure, Loading } from './components/states'
import { Icon } from './components/icon'
import { Login } from './components/login'
import { Toasts } from './components/toast'
import { request } from './api/client'
import { credentials, loginChanged, signOut } from './api/session'
import { hrefOf, go, useRoute } from './lib/router'
import { setTheme, theme, type Theme } from './lib/theme'
import { views, type View, type ViewProps } from './views'

/** The pool of the server's own metrics, which it has without any configuration. */
const ownPool = 'tsdb'

/** The frame of the page: tabs, theme, and the view that the address names. */
export function App() {
  const route = useRoute()
  const view = views.find((v) => v.name === route.view)
  const scraping = useScraping()
  const shown = views.filter((v) => !v.scraping || scraping || v === view)
  useEffect(() => {
    document.title = view ? `${view.title} · tsdb` : 'tsdb'
  }, [view])
  useFocusOnPage(`${route.view} ${route.params.get('metric')}`)
  useEffect(() => document.querySelector('.tabs [aria-current]')?.scrollIntoView({ inline: 'nearest', block: 'nearest' }), [view])
  return (
    <>
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <header class="top">
        <a class="brand" href="explore" aria-label="tsdb" onClick={(e) => follow(e, 'explore')}>
          <Icon name="logo" />
          <span>tsdb</span>
        </a>
        <nav aria-label="Views" class="tabs">
          {shown.map((v) => (
            <a key={v.name} href={hrefOf(v.name)} aria-current={v === view ? 'page' : undefined} onClick={(e) => follow(e, v.name)}>
              {v.title}
            </a>
          ))}
        </nav>
        <span class="grow" />
        <SignOut />
        <ThemeSwitch />
      </header>
      <main id="main" tabIndex={-1}>
        {view ? <Loaded key={view.name} view={view} params={route.params} /> : <Unknown name={route.view} />}
      </main>
      <Toasts />
      <Login />
    </>
  )
}

/** When the focus goes with what was shown before, the new content has it, so that Tab goes on there. */
function useFocusOnPage(shown: string): void {
  const before = useRef(shown)
  useEffect(() => {
    if (before.current !== shown && document.activeElement === document.body) document.getElementById('main')?.focus({ preventScroll: true })
    before.current = shown
  }, [shown])
}

/** Whether the server scrapes anything but itself. */
function useScraping(): boolean {
  const [found, setFound] = useState(false)
  useEffect(() => {
    request<{ scrapePools: string[] }>('scrape_pools').then(
      (a) => setFound(a.data.scrapePools.some((p) => p !== ownPool)),
      () => {}, // the view that is open says what is the matter
    )
  }, [])
  return found
}

/** Opens a view without loading the page again, unless the user asks for a new tab. */
function follow(e: MouseEvent, name: string): void {
  if (e.ctrlKey || e.metaKey || e.shiftKey || e.button !== 0) return
  e.preventDefault()
  go(name)
}

function Loaded({ view, params }: { view: View } & ViewProps) {
  const [View, setView] = useState<{ Component: ComponentType<ViewProps> }>()
  const [failed, setFailed] = useState(false)
  useEffect(() => {
    view.load().then(
      (m) => setView({ Component: m.default }),
      () => setFailed(true),
    )
  }, [view])
  if (failed) {
    return (
      <Failure title="This view cannot be loaded" text="The server may have been replaced by another version, or does not answer." action={{ text: 'Load the page again', run: () => location.reload() }} />
    )
  }
  return View ? <View.Component params={params} /> : <Loading what="the view" />
}

function Unknown({ name }: { name: string }) {
  return <Failure title="There is no such view" text={`The page has no view ${name}. The tabs above are all there are.`} action={{ text: 'Open Explore', run: () => go('explore') }} />
}

function SignOut() {
  const [signedIn, setSignedIn] = useState(credentials() !== '')
  useEffect(() => {
    const update = () => setSignedIn(credentials() !== '')
    addEventListener(loginChanged, update)
    return () => removeEventListener(loginChanged, update)
  }, [])
  if (!signedIn) return null
  const leave = () => {
    signOut()
    location.reload()
  }
  return (
    <button class="quiet" onClick={leave}>
      Sign out
    </button>
  )
}

const nextTheme: Record<Theme, Theme> = { auto: 'light', light: 'dark', dark: 'auto' }
const themeTitle: Record<Theme, string> = { auto: 'system', light: 'light', dark: 'dark' }

function ThemeSwitch() {
  const [now, setNow] = useState(theme)
  const change = () => {
    setTheme(nextTheme[now])
    setNow(nextTheme[now])
  }
  return (
    <button class="quiet" onClick={change} aria-label={`Theme: ${themeTitle[now]}. Change it`} title={`Theme: ${themeTitle[now]}`}>
      <Icon name={now === 'auto' ? 'auto' : now === 'dark' ? 'moon' : 'sun'} />
    </button>
  )
}
