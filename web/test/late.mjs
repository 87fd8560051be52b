// What late answers, redraws and the address leave alone: the text that is typed, the focus, the way back.
//   URL        a server with the data of internal/e2e/page_test.go
//   CHROMIUM   the browser; SHOTS a folder for screenshots
import { answered, check, clean, env, equal, follow, open, settled, step, withBrowser } from './lib.mjs'

const q = (expr) => encodeURIComponent(expr)
const editor = (page) => page.getByRole('textbox', { name: 'Query A' })
const text = async (page) => (await editor(page).textContent()).trim()
const range = (page) => page.getByRole('button', { name: /^Range: / })
const focused = (page) => page.evaluate(() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent)
const asked = (page, path) => {
  const all = []
  page.on('request', (r) => r.url().includes(path) && all.push(new URLSearchParams(r.postData() ?? '').get('query')))
  return all
}

/** Holds the answers to some requests back until the function that it returns is called. */
const hold = async (page, path) => {
  let release
  const held = new Promise((done) => (release = done))
  await page.route(path, async (r) => {
    await held
    await r.continue().catch(() => undefined) // the page may have left it
  })
  return release
}

await withBrowser(async (browser) => {
  const url = env('URL')
  const explore = async (params) => {
    const page = await open(browser, `${url}/ui/explore${params}`, { expected: ['Applying inline style'] })
    await page.locator('.cm-content').waitFor()
    return page
  }

  await step('what is typed while the address is applied stays', async () => {
    const page = await explore(`?q=node_load1`)
    await page.getByRole('group', { name: 'Graph of 2 series' }).waitFor()
    await settled(page)
    await editor(page).click()
    await page.keyboard.press('End')
    await page.keyboard.type(' > 1')
    await page.keyboard.press('Escape')
    const release = await hold(page, '**/api/v1/**')
    await page.clock.install()
    await page.clock.pauseAt(Date.now() + 1000) // effects wait for a frame, which does not come
    await page.keyboard.press('Enter')
    await page.keyboard.type('0')
    await page.clock.runFor(1000)
    release()
    equal(await text(page), 'node_load1 > 10', 'the query')
    await page.keyboard.press('Enter')
    equal(new URL(page.url()).searchParams.get('q'), 'node_load1 > 10', 'the query that is run')
    clean(page)
    await page.context().close()
  })

  await step('a change right after the way back is one of the state gone back to', async () => {
    const page = await explore(`?q=node_load1`)
    await settled(page)
    await range(page).click()
    await page.getByRole('button', { name: '15 minutes' }).click()
    await page.waitForURL(/range=15m/)
    await settled(page)
    await page.clock.install()
    await page.clock.pauseAt(Date.now() + 1000)
    await page.goBack()
    await page.getByRole('tab', { name: 'Table' }).click()
    await page.clock.runFor(1000)
    await page.getByRole('region', { name: 'Table of values' }).waitFor()
    equal(new URL(page.url()).searchParams.get('range') ?? '1h', '1h', 'the range')
    await page.getByRole('button', { name: 'Range: Last hour. Change it' }).waitFor()
    clean(page)
    await page.context().close()
  })

  await step('back to an address without a query shows the start again', async () => {
    const page = await explore('')
    await page.getByText('Type a query, or begin with one of these').waitFor()
    await editor(page).fill('node_load1')
    await page.getByRole('button', { name: 'Run' }).click()
    await page.getByRole('group', { name: 'Graph of 2 series' }).waitFor()
    await page.goBack()
    await page.getByText('Type a query, or begin with one of these').waitFor()
    clean(page)
    await page.context().close()
  })

  await step('a click on Run after typing a step runs once, and does not cancel', async () => {
    const page = await explore(`?q=node_load1`)
    await settled(page)
    const runs = asked(page, 'query_range')
    const release = await hold(page, '**/query_range')
    await page.getByLabel('Step').fill('30s')
    await page.getByRole('button', { name: 'Run' }).click()
    release()
    await page.getByText('step 30s').waitFor()
    equal(runs, ['node_load1'], 'queries asked')
    await page.getByLabel('Step').fill('1m')
    await page.keyboard.press('Enter')
    await page.getByText('step 1m').waitFor()
    equal(runs.length, 2, 'queries asked after Enter')
    check(await page.getByLabel('Step').evaluate((e) => e === document.activeElement), `the focus is on ${await focused(page)}, not on the step`)
    await page.getByRole('button', { name: 'Run' }).dblclick() // as some people click
    await settled(page)
    equal(await page.getByText('The query is cancelled').count(), 0, 'cancelled queries')
    clean(page)
    await page.context().close()
  })

  await step('refreshing asks for what was run, not for what is being typed', async () => {
    const page = await open(browser, `${url}/ui/none`, { expected: ['Applying inline style', 'status of 400'] })
    await page.clock.install()
    await follow(page, `explore?q=node_load1&refresh=5s`)
    await page.locator('.cm-content').waitFor()
    await page.getByRole('group', { name: 'Graph of 2 series' }).waitFor()
    await settled(page)
    const runs = asked(page, 'query_range')
    await editor(page).click()
    await page.keyboard.press('End')
    await page.keyboard.type(' + (')
    const next = page.waitForRequest(/query_range/)
    await page.clock.fastForward(6000)
    await next
    await settled(page)
    equal([...new Set(runs)], ['node_load1'], 'queries asked')
    check((await text(page)).startsWith('node_load1 + ('), `the query is ${await text(page)}`)
    await page.getByRole('group', { name: 'Graph of 2 series' }).waitFor()
    clean(page)
    await page.context().close()
  })

  await step('a query that is formatted late does not replace what was typed since', async () => {
    const page = await explore(`?q=${q('sum(node_load1)by(job)')}`)
    await settled(page)
    const release = await hold(page, '**/format_query')
    await page.getByRole('button', { name: 'More for query A' }).click()
    await page.getByRole('menuitem', { name: 'Format' }).click()
    await editor(page).click()
    await page.keyboard.press('ControlOrMeta+End')
    await page.keyboard.type(' > 1')
    const answer = page.waitForResponse(/format_query/)
    release()
    await answer
    await answered(page)
    equal(await text(page), 'sum(node_load1)by(job) > 1', 'the query')
    clean(page)
    await page.context().close()
  })

  await step('the way back from a view leads back, wherever the focus is', async () => {
    for (const [view, field] of [
      ['Metrics', 'Labels'],
      ['Cardinality', 'Only'],
      ['Cardinality', 'Focus label'],
    ]) {
      const page = await explore('')
      await page.getByRole('link', { name: view, exact: true }).click()
      await page.getByLabel(field).fill('job="node"')
      await page.goBack()
      await page.getByRole('heading', { name: 'Explore' }).waitFor({ state: 'attached' })
      await answered(page)
      check(new URL(page.url()).pathname.endsWith('/explore'), `back from ${field} of ${view} is ${page.url()}`)
      clean(page)
      await page.context().close()
    }
  })

  await step('the focus stays near what was done', async () => {
    const page = await explore(`?q=node_load1`)
    await settled(page)
    await range(page).click()
    await page.getByRole('button', { name: '15 minutes' }).press('Enter')
    check((await focused(page)).startsWith('Range: '), `after the choice of a range the focus is on ${await focused(page)}`)
    await page.getByRole('button', { name: 'History and favourites' }).click()
    await page.getByRole('button', { name: 'node_load1', exact: true }).first().press('Enter')
    equal(await focused(page), 'History and favourites', 'the focus after a choice from the history')
    await settled(page)
    await page.getByRole('button', { name: 'Run' }).press('Enter')
    await settled(page)
    check((await focused(page)).includes('Run'), `after a run the focus is on ${await focused(page)}`)

    await follow(page, 'metrics')
    await page.getByRole('link', { name: 'node_load1', exact: true }).press('Enter')
    await page.getByRole('heading', { name: 'node_load1' }).waitFor()
    check(await page.evaluate(() => document.activeElement !== document.body), 'the focus is lost with the list')

    await follow(page, 'cardinality')
    const menu = page.getByRole('region', { name: 'Series by metric', exact: true }).getByRole('button', { name: 'What to do about queue_length' })
    await menu.click()
    await page.getByRole('menuitem', { name: 'Delete…' }).click()
    await page.getByRole('button', { name: 'Keep them' }).press('Enter')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    equal(await focused(page), 'What to do about queue_length', 'the focus after the dialog')
    clean(page)
    await page.context().close()
  })
})
console.log('done')
