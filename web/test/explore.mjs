// A person's path through Explore.
//   URL        a server with the data of internal/e2e/page_test.go
//   DOOMED     a server like it, and DOOMED_PID its process, which the script ends
//   GUARDED    a server with the user ann, whose password is "sea salt"
//   CHROMIUM   the browser; SHOTS a folder for screenshots
import { accessible, check, clean, drawn, env, equal, fits, open, settled, shot, step, withBrowser } from './lib.mjs'

const explore = (server, params = '') => `${server}/ui/explore${params}`
const editor = (page, name = 'A') => page.getByRole('textbox', { name: `Query ${name}` })
/** Replaces the query as a person does. */
const write = async (page, text, name) => {
  // Chromium tries to keep the colours of a selection that is typed over, by a style that the policy forbids; the editor draws the text anew anyway.
  page.expected.push('Applying inline style')
  await editor(page, name).click()
  await page.keyboard.press('ControlOrMeta+a')
  await page.keyboard.type(text)
  await page.keyboard.press('Escape')
}
const cpu = 'sum by (mode) (rate(node_cpu_seconds_total[5m]))'
const ranAs = (q, rest = '') => `?q=${encodeURIComponent(q)}${rest}`

await withBrowser(async (browser) => {
  const url = env('URL')
  const badRequest = 'status of 400'

  await step('the root leads to the page, which paints soon and says what to do', async () => {
    const page = await open(browser, url + '/', { expected: [badRequest] })
    await page.getByText('Type a query, or begin with one of these').waitFor()
    check(page.url() === explore(url), `the root leads to ${page.url()}`)
    const paint = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime)
    console.log(`     first paint after ${Math.round(paint)} ms`)
    await page.locator('.cm-placeholder').waitFor() // the code of the editor is there
    await accessible(page, 'the start')
    await shot(page, 'start-light')
    clean(page)
  })

  const page = await open(browser, explore(url), { expected: [badRequest] })
  await step('a query is typed with completion, and says what it will read', async () => {
    await editor(page).click()
    await page.keyboard.type('sum by (mode) (rate(node_c')
    await page.getByRole('option', { name: 'node_cpu_seconds_total' }).waitFor()
    await accessible(page, 'the completion')
    await page.keyboard.press('Enter') // takes the completion, and does not run the query
    await page.keyboard.type('[5m')
    await page.getByText('Will read at most').waitFor()
    equal((await editor(page).textContent()).trim(), cpu, 'the query')
  })
  await step('Enter draws as many lines as there are series', async () => {
    await page.keyboard.press('Enter')
    await page.getByRole('group', { name: 'Graph of 4 series' }).waitFor()
    await settled(page)
    const d = await drawn(page)
    check(d.pixels > 1000, `${d.pixels} pixels are drawn`)
    equal([d.colors, d.lines], [4, 4], 'colours of the legend, and on the canvas')
    await page.getByText('4 series').first().waitFor()
    await page.getByText('samples read').first().waitFor()
    await page.getByRole('listitem').getByText('samples', { exact: true }).waitFor() // the strip of tiers
    await accessible(page, 'the graph')
    await shot(page, 'graph-light')
    check(page.url().includes('q=sum'), `the address is ${page.url()}`)
  })
  await step('a function is explained under the pointer', async () => {
    await page.getByText('rate', { exact: true }).first().hover()
    await page.getByText('(range vector) → instant vector').waitFor()
    await page.mouse.move(5, 5)
  })
  await step('the legend hides, isolates, filters and sorts', async () => {
    await page.getByRole('button', { name: 'Show mode="idle"' }).click()
    await page.getByRole('group', { name: 'Graph of 3 series' }).waitFor()
    await page.getByRole('button', { name: 'Show all lines' }).click()
    await page.getByRole('button', { name: 'mode="user"', exact: true }).click()
    await page.getByRole('group', { name: 'Graph of 1 series' }).waitFor()
    equal((await drawn(page)).lines, 1, 'lines drawn')
    await page.getByRole('button', { name: 'mode="user"', exact: true }).click()
    await page.getByRole('searchbox', { name: 'Filter series' }).fill('sys')
    equal(await page.locator('.legend tbody tr').count(), 1, 'rows that match')
    await page.getByRole('searchbox', { name: 'Filter series' }).fill('')
    await page.getByRole('button', { name: 'max' }).click()
    const max = await page.locator('.legend tbody tr td:nth-child(5)').allTextContents()
    equal(max, [...max].sort((a, b) => Number(b) - Number(a)), 'sorted by maximum')
  })
  await step('the crosshair shows the values of all queries', async () => {
    await page.getByRole('button', { name: 'Add query' }).click()
    await editor(page, 'B').click()
    await page.keyboard.type('node_load1')
    await page.keyboard.press('Escape')
    await page.getByRole('button', { name: 'Run' }).click()
    await page.getByRole('group', { name: 'Graph of 6 series' }).waitFor()
    await settled(page)
    const box = await page.locator('.plot .u-over').boundingBox()
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2)
    await page.locator('.tip').waitFor()
    equal(await page.locator('.tip-row').count(), 6, 'values at the crosshair')
    await shot(page, 'two-queries-light')
  })
  await step('dragging zooms, and back returns', async () => {
    const before = page.url()
    const box = await page.locator('.plot .u-over').boundingBox()
    await page.mouse.move(box.x + box.width * 0.3, box.y + 50)
    await page.mouse.down()
    await page.mouse.move(box.x + box.width * 0.6, box.y + 80, { steps: 5 })
    await page.mouse.up()
    await page.waitForURL(/end=/)
    await settled(page)
    const range = new URL(page.url()).searchParams.get('range')
    check(/^1[78]m/.test(range), `a zoom to 30 % of an hour gives ${range}`)
    await page.goBack()
    equal(page.url(), before, 'the address after back')
    await page.getByRole('button', { name: 'Range: Last hour. Change it' }).waitFor()
    await settled(page)
  })
  await step('the table, JSON, and the cost', async () => {
    await page.getByRole('tab', { name: 'Graph' }).focus()
    await page.keyboard.press('ArrowRight')
    await page.getByRole('region', { name: 'Table of values' }).first().waitFor()
    await settled(page)
    equal(await page.getByRole('region', { name: 'Table of values' }).first().locator('tbody tr').count(), 4, 'rows')
    await accessible(page, 'the table')
    await page.keyboard.press('ArrowRight')
    await page.getByLabel('Answer as JSON').getByText('"resultType": "matrix"').first().waitFor()
    await page.getByText('Cost and truth').click()
    await page.getByText('reading and evaluating').first().waitFor()
    await page.getByRole('cell', { name: 'node_load1', exact: true }).waitFor()
    await accessible(page, 'the cost')
    await page.getByRole('tab', { name: 'Graph' }).click()
    await settled(page)
    await shot(page, 'cost-light')
    clean(page)
  })
  await step('history, favourites and formatting', async () => {
    await page.getByRole('button', { name: 'Keep as favourite' }).first().click()
    await page.getByRole('button', { name: 'History and favourites' }).click()
    await page.getByRole('button', { name: 'node_load1', exact: true }).waitFor()
    await accessible(page, 'the history')
    await page.keyboard.press('Escape')
    await page.getByRole('button', { name: 'More for query B' }).click()
    await page.getByRole('menuitem', { name: 'Remove' }).click()
    await write(page, 'sum(rate(node_cpu_seconds_total[5m]))by(mode)')
    await page.getByRole('button', { name: 'More for query A' }).click()
    await page.getByRole('menuitem', { name: 'Format' }).click()
    await page.getByRole('textbox', { name: 'Query A' }).getByText('by').waitFor()
    await page.waitForFunction((want) => document.querySelector('.cm-content').textContent.trim() === want, cpu)
    clean(page)
  })
  await page.context().close()

  await step('what was deleted is marked below the plot, and that it was deleted since', async () => {
    const p = await open(browser, explore(url, ranAs('node_load1{instance="web-1:9100"}')))
    await p.clock.install()
    await p.reload()
    await p.getByRole('group', { name: 'Graph of 1 series' }).waitFor()
    const end = Math.floor(Date.now() / 1000) - 1800
    const answer = await p.request.post(`${url}/api/v1/admin/tsdb/delete_series?match[]=node_load1{instance="web-1:9100"}&start=${end - 600}&end=${end}`)
    equal(answer.status(), 204, 'the deletion')
    await p.clock.fastForward(21_000)
    await p.getByText('Late samples or a deletion may have changed this answer since.').waitFor()
    await p.getByRole('button', { name: 'Run again' }).click()
    await p.getByText('samples were deleted here').waitFor()
    await settled(p)
    await accessible(p, 'the deleted stretch')
    await shot(p, 'deleted-light')
    clean(p)
    await p.context().close()
  })

  await step("Prometheus' links are understood", async () => {
    const p = await open(browser, `${url}/graph?g0.expr=${encodeURIComponent(cpu)}&g0.tab=0&g0.range_input=30m&g0.stacked=1`)
    await p.getByRole('group', { name: 'Graph of 4 series' }).waitFor()
    await p.getByRole('button', { name: 'Range: Last 30 minutes. Change it' }).waitFor()
    check((await p.getByRole('button', { name: 'Stacked' }).getAttribute('aria-pressed')) === 'true', 'the graph is not stacked')
    await settled(p)
    const { pixels } = await drawn(p) // areas cover the lines below them, so colours are not counted
    check(pixels > 50_000, `${pixels} pixels are drawn`)
    await shot(p, 'stacked-light')
    clean(p)
    await p.context().close()
  })

  await step('histograms, classic and native, as heat maps', async () => {
    for (const q of ['sum by (le) (rate(http_request_duration_seconds_bucket[5m]))', 'sum(rate(rpc_seconds[5m]))']) {
      const p = await open(browser, explore(url, ranAs(q, '&mode=heatmap')), { scheme: 'dark' })
      await p.getByRole('group', { name: 'Heat map of histograms' }).waitFor()
      await settled(p)
      check((await drawn(p)).pixels > 5000, `the heat map of ${q} is empty`)
      await accessible(p, 'the heat map')
      await shot(p, q.includes('le') ? 'heat-classic-dark' : 'heat-native-dark')
      clean(p)
      await p.context().close()
    }
  })

  await step('dark, and as wide as a phone', async () => {
    for (const scheme of ['light', 'dark']) {
      for (const width of [390, 1280]) {
        const p = await open(browser, explore(url, ranAs(cpu, '&q=node_load1')), { scheme, width, height: 844 })
        await p.getByRole('group', { name: 'Graph of 6 series' }).waitFor()
        await settled(p)
        await fits(p, `${scheme} at ${width} px`)
        await accessible(p, `${scheme} at ${width} px`)
        equal((await drawn(p)).lines, 6, `lines in ${scheme} at ${width} px`)
        await shot(p, `two-queries-${scheme}-${width}`)
        clean(p)
        await p.context().close()
      }
    }
  })

  await step('the theme that the user chooses stays', async () => {
    const p = await open(browser, explore(url))
    await p.getByRole('button', { name: 'Theme: system. Change it' }).click()
    await p.getByRole('button', { name: 'Theme: light. Change it' }).click()
    await p.reload()
    equal(await p.evaluate(() => document.documentElement.dataset.theme), 'dark', 'theme of the new page')
    await p.getByRole('button', { name: 'Theme: dark. Change it' }).waitFor()
    await p.context().close()
  })

  await step('a thousand series: a part is drawn, all on demand, and dragging stays fluid', async () => {
    const p = await open(browser, explore(url, '?q=queue_length&range=50m&step=3s'))
    await p.getByText('The 200 of 1,000 series with the largest maximum are drawn.').waitFor()
    await settled(p)
    await shot(p, 'thousand-light')
    await p.getByRole('button', { name: 'Show all', exact: true }).click()
    await p.getByRole('group', { name: 'Graph of 1,000 series' }).waitFor()
    await settled(p)
    const box = await p.locator('.plot .u-over').boundingBox()
    await p.evaluate(() => {
      const gaps = (globalThis.gaps = [])
      let last = performance.now()
      const frame = (now) => {
        gaps.push(now - last)
        last = now
        globalThis.frames = requestAnimationFrame(frame)
      }
      requestAnimationFrame(frame)
    })
    await p.mouse.move(box.x + 100, box.y + 100)
    await p.mouse.down()
    for (let i = 0; i < 30; i++) await p.mouse.move(box.x + 100 + i * 12, box.y + 100 + i * 3)
    const gaps = await p.evaluate(() => {
      cancelAnimationFrame(globalThis.frames)
      return globalThis.gaps.slice(1).sort((a, b) => a - b)
    })
    const middle = gaps[Math.floor(gaps.length / 2)]
    console.log(`     ${gaps.length} frames while dragging, median ${Math.round(middle)} ms, longest ${Math.round(gaps.at(-1))} ms`)
    check(middle < 100, `the median frame of dragging takes ${middle} ms`)
    await p.mouse.up()
    clean(p)
    await p.context().close()
  })

  await step('a query that cannot be parsed, and one beyond a limit', async () => {
    const p = await open(browser, explore(url, ranAs('sum(')), { expected: [badRequest, 'status of 422'] })
    await p.getByText('The request is not valid').waitFor()
    await p.getByText('parse error').first().waitFor()
    await accessible(p, 'a bad query')
    await write(p, 'queue_length')
    await p.getByLabel('Step').fill('1s')
    await p.keyboard.press('Enter')
    await p.getByText('The query failed').waitFor()
    await p.getByText('--query.max-samples').first().waitFor()
    await shot(p, 'error-light')
    clean(p)
    await p.context().close()
  })

  await step('why there is no data', async () => {
    const p = await open(browser, explore(url, ranAs('node_cpu_secnds_total{mode="user"}')))
    await p.getByText('No data').first().waitFor()
    await p.getByRole('button', { name: 'node_cpu_seconds_total' }).first().waitFor()
    await accessible(p, 'no data')
    await shot(p, 'missing-light')
    clean(p)
    await p.context().close()
  })

  await step('the server is gone', async () => {
    const doomed = env('DOOMED')
    const p = await open(browser, explore(doomed, ranAs(cpu)), { expected: ['ERR_CONNECTION_REFUSED'] })
    await p.getByRole('group', { name: 'Graph of 4 series' }).waitFor()
    process.kill(Number(env('DOOMED_PID')), 'SIGKILL')
    await p.getByRole('button', { name: 'Run' }).click()
    await p.getByText('The server cannot be reached').waitFor()
    await accessible(p, 'the server gone')
    await shot(p, 'gone-light')
    clean(p)
    await p.context().close()
  })

  await step('signing in', async () => {
    const p = await open(browser, explore(env('GUARDED'), ranAs('up')), { expected: ['status of 401'] })
    await p.getByRole('dialog', { name: 'Sign in' }).waitFor()
    await accessible(p, 'the form to sign in')
    await p.getByLabel('Name, empty with a token').fill('ann')
    await p.getByLabel('Password or token').fill('wrong')
    await p.getByRole('button', { name: 'Sign in' }).click()
    await p.getByText('Name and password do not match.').waitFor()
    await shot(p, 'sign-in-light')
    await p.getByLabel('Password or token').fill('sea salt')
    await p.getByRole('button', { name: 'Sign in' }).click()
    await p.getByRole('button', { name: 'Sign out' }).waitFor()
    await p.getByText('No data').first().waitFor()
    clean(p)
    await p.context().close()
  })
})
console.log('done')
