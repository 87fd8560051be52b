// What the scripts of the page share: a browser, steps, checks of accessibility,
// screenshots. A script ends with exit code 1 at the first step that fails.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { chromium } from 'playwright-core'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

export const env = (name) => {
  const value = process.env[name]
  if (!value) throw new Error(`${name} is not set`)
  return value
}

export async function withBrowser(f) {
  const browser = await chromium.launch({ executablePath: env('CHROMIUM'), args: ['--no-sandbox', '--disable-dev-shm-usage'] })
  try {
    await f(browser)
  } finally {
    await browser.close()
  }
}

/** Opens a page that notes errors and requests to other servers; expected lists texts of console errors that are part of the test. */
export async function open(browser, url, { width = 1280, height = 900, scheme = 'light', expected = [], headers } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, bypassCSP: false, timezoneId: 'Europe/Berlin', ...(headers ? { extraHTTPHeaders: headers } : {}) })
  const page = await context.newPage()
  page.setDefaultTimeout(60_000) // a busy machine is slow
  page.faults = []
  page.asking = 0 // requests without an answer
  page.on('request', () => page.asking++)
  for (const end of ['requestfinished', 'requestfailed']) {
    page.on(end, () => {
      page.asking--
      page.told?.()
    })
  }
  page.expected = [...expected]
  page.on('pageerror', (e) => page.faults.push(`exception: ${e.message}`))
  page.on('console', (m) => {
    if (m.type() === 'error' && !page.expected.some((text) => m.text().includes(text))) page.faults.push(`console: ${m.text()}`)
  })
  page.on('request', (r) => {
    if (!r.url().startsWith(new URL(url).origin) && !r.url().startsWith('blob:')) page.faults.push(`request to ${r.url()}`)
  })
  pages.push(page)
  await page.goto(url)
  return page
}

const pages = []

/** Prints what a person sees of each page when a step has failed, and keeps a picture. */
async function describe() {
  for (const [i, page] of pages.entries()) {
    if (page.isClosed()) continue
    const focus = await page.evaluate(() => document.activeElement?.outerHTML.slice(0, 200))
    console.log(`page ${i} at ${page.url()}, ${page.asking} requests without an answer, focus on ${focus}`)
    console.log(page.faults.join('\n'))
    console.log(await page.locator('main').innerText({ timeout: 5000 }))
    await shot(page, `failed-${i}`)
  }
}

export async function step(name, f) {
  const begin = performance.now()
  try {
    await f()
  } catch (e) {
    console.log(`FAIL ${name}\n${e.stack ?? e}`)
    await describe().catch(() => undefined)
    throw e
  }
  console.log(`ok   ${name} (${Math.round(performance.now() - begin)} ms)`)
}

export function check(ok, text) {
  if (!ok) throw new Error(text)
}

export function equal(got, want, what) {
  check(JSON.stringify(got) === JSON.stringify(want), `${what}: ${JSON.stringify(got)}, not ${JSON.stringify(want)}`)
}

/** No serious or critical finding of axe. */
export async function accessible(page, where) {
  // Our policy forbids scripts from elsewhere; the debugger's protocol is not bound by it.
  if (!(await page.evaluate(() => 'axe' in globalThis))) await page.evaluate(axe)
  const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }))
  const bad = found.violations.filter((v) => v.impact === 'serious' || v.impact === 'critical')
  check(bad.length === 0, `axe at ${where}: ${bad.map((v) => `${v.id} (${v.help}): ${v.nodes.map((n) => `${n.html}\n   ${n.any.map((a) => a.message).join('; ')}`).slice(0, 4).join('\n   ')}`).join('\n')}`)
}

/** The page is no wider than the window, and on a phone no table either. */
export async function fits(page, where) {
  const [wide, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth])
  check(wide <= window, `${where} is ${wide} px wide in a window of ${window}`)
  const scroll = await page.evaluate(() => [...document.querySelectorAll('.cards')].filter((e) => innerWidth < 640 && e.scrollWidth > e.clientWidth).map((e) => e.getAttribute('aria-label')))
  equal(scroll, [], `tables of ${where} that scroll sideways`)
}

export async function shot(page, name) {
  await page.screenshot({ path: join(env('SHOTS'), `${name}.png`), fullPage: true })
}

export function clean(page) {
  check(page.faults.length === 0, `the page met: ${page.faults.join('\n')}`)
}

/** How many of the colours of the legend's swatches are on the canvas, and how many pixels are not empty. */
export function drawn(page) {
  return page.evaluate(canvasContent)
}

/** Waits until n lines of different colours are drawn, as after a change of the window. */
export async function linesDrawn(page, n) {
  await page.waitForFunction(canvasContent, n)
}

/** With wanted: whether that is the number of lines. */
function canvasContent(wanted) {
  const canvas = document.querySelector('.plot canvas')
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
  const seen = new Set()
  let pixels = 0
  for (let i = 0; i < data.length; i += 4) {
    if (data[i + 3] === 0) continue
    pixels++
    if (data[i + 3] === 255) seen.add(`rgb(${data[i]}, ${data[i + 1]}, ${data[i + 2]})`)
  }
  const colors = [...document.querySelectorAll('.legend tbody tr:not(.off) .swatch i')].map((e) => getComputedStyle(e).backgroundColor)
  const lines = [...new Set(colors)].filter((c) => seen.has(c)).length
  return wanted === undefined ? { pixels, colors: new Set(colors).size, lines } : lines === wanted
}

const frames = (page) => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))))

/** Waits until nothing is asked and the plot has been drawn. */
export async function settled(page) {
  await page.waitForSelector('.result[aria-busy=false]')
  await frames(page)
}

/** Waits until the view is there and all that it asks is answered. */
export async function answered(page) {
  await page.locator('main :is(h1, .state)').first().waitFor({ state: 'attached' })
  do {
    while (page.asking > 0) await new Promise((done) => (page.told = done))
    await frames(page) // an answer may lead to further requests
  } while (page.asking > 0)
}

/** Opens another view of the page that is there, as a link or the back button does. */
export async function follow(page, view) {
  await page.evaluate((href) => {
    history.pushState(null, '', href)
    dispatchEvent(new PopStateEvent('popstate'))
  }, view)
}

/**
 * A view in both themes, on a screen and on a phone: as wide as the window, accessible, without errors.
 * ready waits for its content, drawn checks it in each form.
 */
export async function looks(browser, url, name, ready, drawn = () => {}) {
  const page = await open(browser, url, { width: 390, height: 844 })
  await ready(page)
  for (const [scheme, width] of [
    ['light', 390],
    ['dark', 390],
    ['dark', 1280],
    ['light', 1280],
  ]) {
    const form = `${name} in ${scheme} at ${width} px`
    await page.emulateMedia({ colorScheme: scheme })
    await page.setViewportSize({ width, height: 844 })
    await frames(page)
    await drawn(page, form)
    await fits(page, form)
    if (scheme === 'dark' || width === 390) await accessible(page, form) // light on a screen is checked on a person's path
    await shot(page, `${name}-${scheme}-${width}`)
  }
  clean(page)
  await page.context().close()
}
