// What every view says and does when the server fails it, for users of all kinds, and by the keyboard.
//   URL        a server with the data of internal/e2e/page_test.go
//   GUARDED    a server with the user ann, whose password is "sea salt"
//   SCRAPING   a server that scrapes
//   DAMAGED    a server with the samples of now, and a block of the hour before that cannot be read, which runs one
//              query at a time, and DAMAGED_PID its process, which the script stops and continues
//   CHROMIUM   the browser; SHOTS a folder for screenshots
import { setMaxListeners } from 'node:events'
import { accessible, answered, check, clean, env, equal, follow, open, settled, shot, step, withBrowser } from './lib.mjs'

const views = ['explore?q=node_load1', 'metrics', 'metrics?metric=node_load1', 'cardinality', 'health', 'health?s=storage', 'health?s=queries', 'health?s=settings', 'targets']

/** What a server without samples shows. */
const empty = {
  metrics: 'Nothing is stored yet',
  'explore?q=node_load1': 'No series named node_load1 is stored.',
  explore: 'Nothing has been written in the last day',
  'metrics?metric=node_load1': 'Nothing of this metric is stored',
  cardinality: 'No series has samples on this day.',
  health: 'Nothing has been written since the start.',
  'health?s=storage': 'A day of samples is needed to tell.',
  targets: 'Nothing is scraped',
}

/** Answers that fail, and what a view then says. */
const failed = (status, errorType, error) => (r) => r.fulfill({ status, json: { status: 'error', errorType, error } })
const failures = [
  { name: 'gone', text: 'The server cannot be reached', answer: (r) => r.abort('connectionrefused') },
  { name: 'overloaded', text: 'The server is not ready', answer: failed(503, 'unavailable', 'too many reads') },
  { name: 'a limit', text: 'The query failed', answer: failed(422, 'execution', 'beyond --query.max-bytes') },
  { name: 'not allowed', text: 'Not allowed', answer: failed(403, 'forbidden', 'only from the machine itself') },
]

await withBrowser(async (browser) => {
  const url = env('URL')
  for (const f of failures) {
    await step(`each view says so, and goes on when it is over: ${f.name}`, async () => {
      const page = await open(browser, `${url}/ui/none`, { expected: ['Failed to load resource'] })
      await page.getByText('There is no such view').waitFor()
      for (const view of views) {
        await page.route('**/api/v1/**', f.answer)
        await page.route('**/-/healthy', f.answer)
        await follow(page, view)
        const alert = page.getByRole('alert').filter({ hasText: f.text })
        await alert.first().waitFor()
        if (f.name === 'gone' && ['metrics', 'cardinality', 'health'].includes(view)) await accessible(page, `${view}, the server ${f.name}`)
        if (f.name === 'overloaded' && view === 'cardinality') await shot(page, 'overloaded-light')
        await page.unroute('**/api/v1/**')
        await page.unroute('**/-/healthy')
        while ((await alert.count()) > 0) {
          await alert.first().getByRole('button', { name: 'Try again' }).or(page.getByRole('button', { name: 'Run', exact: true })).first().click()
          await answered(page)
        }
        await follow(page, 'none') // the next view begins anew
      }
      clean(page)
      await page.context().close()
    })
  }

  await step('each view says that it loads, can be told to stop, and loads again', async () => {
    const page = await open(browser, `${url}/ui/none`)
    for (const view of ['metrics', 'metrics?metric=node_load1', 'cardinality', 'health?s=storage', 'targets']) {
      await page.route('**/api/v1/**', () => {}) // no answer
      await follow(page, view)
      const cancel = page.getByRole('status').filter({ hasText: 'Loading' }).getByRole('button', { name: 'Cancel' })
      await cancel.first().waitFor()
      if (view === 'metrics') await accessible(page, `${view}, loading`)
      while ((await cancel.count()) > 0) await cancel.first().click()
      await page.getByText('Nothing is loaded').first().waitFor()
      await page.unroute('**/api/v1/**')
      const again = page.getByRole('button', { name: 'Try again' })
      while ((await again.count()) > 0) {
        await again.first().click()
        await answered(page)
      }
      await follow(page, 'none')
    }
    clean(page)
    await page.context().close()
  })

  await step('each view says that it loads while the server hangs, and has its content when that goes on', async () => {
    const page = await open(browser, `${env('DAMAGED')}/ui/none`)
    const server = Number(env('DAMAGED_PID'))
    try {
      for (const view of views) {
        process.kill(server, 'SIGSTOP')
        await follow(page, view)
        const waits = page.getByRole('status').filter({ hasText: /Loading|The query runs/ })
        await waits.first().waitFor()
        process.kill(server, 'SIGCONT')
        await answered(page)
        equal(await waits.count(), 0, `parts of ${view} that load for ever`)
        equal(await page.getByText('The server cannot be reached').count(), 0, `errors of ${view}`)
        await follow(page, 'none')
      }
    } finally {
      process.kill(server, 'SIGCONT')
    }
    clean(page)
    await page.context().close()
  })

  await step('too many queries: the server refuses, the page says when to try again', async () => {
    const page = await open(browser, `${env('DAMAGED')}/ui/none`, { expected: ['status of 503'] })
    const flood = new AbortController()
    setMaxListeners(0, flood.signal)
    const slow = encodeURIComponent('quantile_over_time(0.5, quantile_over_time(0.5, vector(time())[1h:1s])[200h:1s])')
    const api = async (path) => (await (await fetch(`${env('DAMAGED')}/api/v1/${path}`, { signal: flood.signal })).json()).data
    const asker = async () => {
      while (!flood.signal.aborted) await api(`query?query=${slow}`).catch(() => undefined)
    }
    const askers = Array.from({ length: 1004 }, asker) // 1000 may wait
    while ((await api('status/active_queries')).waiting < 1000);
    for (const view of ['explore?q=node_load1', 'metrics?metric=node_load1']) {
      await follow(page, view)
      const alert = page.getByRole('alert').filter({ hasText: 'too many queries are waiting already' }).first()
      await alert.getByText('The server is not ready').waitFor()
      await alert.getByText(/Try again in \d s/).waitFor()
      if (view.startsWith('explore')) {
        await accessible(page, 'an overloaded server')
        await shot(page, 'busy-light')
      }
    }
    flood.abort()
    await Promise.all(askers)
    await page.getByRole('button', { name: 'Try again' }).first().click()
    await page.getByRole('img', { name: /^Value: max \d/ }).waitFor()
    await follow(page, 'explore?q=node_load1')
    await page.getByRole('group', { name: 'Graph of 1 series' }).waitFor()
    clean(page)
    await page.context().close()
  })

  await step('an error page of a proxy is not shown as it is', async () => {
    const page = await open(browser, `${url}/ui/none`, { expected: ['Failed to load resource'] })
    await page.route('**/api/v1/**', (r) => r.fulfill({ status: 502, contentType: 'text/html', body: '<html><head><title>502 Bad Gateway</title></head></html>' }))
    await follow(page, 'metrics')
    await page.getByRole('alert').getByText('The server answers with status 502.').waitFor()
    equal(await page.getByText('<html>').count(), 0, 'tags')
    clean(page)
    await page.context().close()
  })

  await step('without credentials, and with those of yesterday, each view asks to sign in', async () => {
    const page = await open(browser, `${env('GUARDED')}/ui/none`, { expected: ['status of 401'] })
    const form = page.getByRole('dialog', { name: 'Sign in' })
    for (const view of views) {
      await follow(page, view)
      await form.waitFor()
      await answered(page)
      await page.keyboard.press('Escape')
      await page.getByRole('alert').getByText('Sign in first').first().waitFor()
      await follow(page, 'none')
    }
    await page.evaluate(() => sessionStorage.setItem('tsdb.authorization', 'Basic eWVzdGVyZGF5OmdvbmU='))
    await follow(page, 'metrics')
    await form.getByLabel('Name, empty with a token').fill('ann')
    await form.getByLabel('Password or token').fill('sea salt')
    await page.keyboard.press('Enter')
    await page.getByText(empty.metrics).waitFor()
    clean(page)
    await page.context().close()
  })

  await step('a view that cannot use what its address says tells what is wrong', async () => {
    const page = await open(browser, `${url}/ui/metrics?filter=job%3D`, { expected: ['status of 400'] })
    for (const view of ['metrics?filter=job%3D', 'metrics?metric=node_load1&with=job%3D', 'cardinality?filter=job%3D', 'explore?q=sum(']) {
      await follow(page, view)
      await page.getByRole('alert').getByText('The request is not valid').first().waitFor()
      await page.getByRole('alert').getByText('parse error').first().waitFor()
    }
    clean(page)
    await page.context().close()
  })

  await step('what cannot be read is said at the query, below the plot, and in the health', async () => {
    const page = await open(browser, `${env('DAMAGED')}/ui/explore?q=node_load1`)
    await page.getByRole('group', { name: 'Graph of 1 series' }).waitFor()
    await page.getByText('samples here cannot be read').waitFor()
    await page.getByRole('region', { name: 'Query A' }).getByText('.tsb').first().waitFor()
    await settled(page)
    await accessible(page, 'the damaged stretch')
    await shot(page, 'damaged-light')
    await follow(page, 'health')
    await page.getByRole('alert').getByText('blocks missing or damaged: 1').waitFor()
    await follow(page, 'health?s=storage')
    await page.getByText('1 block cannot be read in full').waitFor()
    await accessible(page, 'a quarantined block')
    await shot(page, 'quarantine-light')
    clean(page)
    await page.context().close()
  })

  for (const [who, name, password, some] of [
    ['a user', 'ann', 'sea salt', [...views, 'explore']],
    ['a token', '', 'ann:sea salt', ['metrics', 'health?s=queries']],
  ]) {
    await step(`${who} signs in and meets no 403 in any view`, async () => {
      // Through a proxy nobody is an administrator.
      const page = await open(browser, `${env('GUARDED')}/ui/metrics`, { expected: ['status of 401'], headers: { 'X-Forwarded-For': '192.0.2.1' } })
      const refused = []
      page.on('response', (r) => r.status() === 403 && refused.push(r.url()))
      await page.getByRole('dialog', { name: 'Sign in' }).waitFor()
      await page.getByLabel('Name, empty with a token').fill(name)
      await page.getByLabel('Password or token').fill(password)
      const loaded = page.waitForEvent('load') // signing in loads the page again
      await page.keyboard.press('Enter')
      await loaded
      await page.getByRole('button', { name: 'Sign out' }).waitFor()
      for (const view of some) {
        await follow(page, view)
        await answered(page)
        if (empty[view]) await page.getByRole('main').getByText(empty[view]).first().waitFor()
        if (view === 'explore') {
          await accessible(page, 'Explore without samples')
          await shot(page, 'empty-light')
        }
        equal(await page.getByRole('button', { name: /Delete|Cancel a|Flush/ }).count(), 0, `buttons of administrators in ${view}`)
      }
      await follow(page, 'health?s=settings')
      await page.getByText(`Signed in${name ? ' as ann' : ''}`).waitFor()
      equal(refused, [], 'refused requests')
      await page.getByRole('button', { name: 'Sign out' }).click()
      await page.getByRole('button', { name: 'Sign out' }).waitFor({ state: 'detached' })
      clean(page)
      await page.context().close()
    })
  }

  await step('the keyboard alone leads through the views', async () => {
    const page = await open(browser, `${url}/ui/metrics`)
    /** Presses Tab until the control is reached. */
    const tabTo = async (locator, what) => {
      const control = await locator.elementHandle()
      for (let i = 0; i < 60; i++) {
        if (await control.evaluate((e) => e === document.activeElement)) return
        await page.keyboard.press('Tab')
      }
      throw new Error(`Tab does not reach ${what}`)
    }
    await page.getByRole('link', { name: 'node_load1', exact: true }).waitFor()
    await tabTo(page.getByRole('searchbox', { name: 'Name or help contains' }), 'the search of metrics')
    await page.keyboard.type('node_lo')
    await tabTo(page.getByRole('link', { name: 'node_load1', exact: true }), 'a metric')
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'node_load1' }).waitFor()

    await page.goto(`${url}/ui/cardinality`)
    await page.getByRole('region', { name: 'Series by metric', exact: true }).waitFor()
    await tabTo(page.getByRole('button', { name: '28 days' }), 'the span of days')
    await page.keyboard.press('Enter')
    await page.waitForURL(/days=28/)
    const menu = page.getByRole('region', { name: 'Series by metric', exact: true }).getByRole('button', { name: /What to do about/ }).first()
    await tabTo(menu, 'the menu of a row')
    await page.keyboard.press('Enter')
    await page.getByRole('menuitem', { name: 'Count only these' }).waitFor()
    await page.keyboard.press('Escape')
    check(await menu.evaluate((e) => e === document.activeElement), 'Escape leads back to the button of the menu')

    await page.goto(`${url}/ui/health`)
    await page.getByText('The server is healthy').waitFor()
    await tabTo(page.getByRole('link', { name: 'Settings', exact: true }), 'the settings')
    await page.keyboard.press('Enter')
    await tabTo(page.getByRole('searchbox', { name: 'Find a setting' }), 'the search of settings')
    await page.keyboard.type('max-samples')
    await page.getByRole('row').filter({ hasText: '--query.max-samples' }).first().waitFor()
    clean(page)
    await page.context().close()
  })
})
console.log('done')
