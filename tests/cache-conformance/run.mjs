// Runs the public suite of tests for HTTP caches (http-tests/cache-tests) against the proxy: starts the suite's origin and a proxy in front of
// it on free ports, runs every test through it, prints the score of each kind and the required tests that fail, and ends with 1 where the
// score is below the floor.
//
//   npm ci && node run.mjs --proxy ../../target/debug/outpost-proxy --required 140 --optimal 70
//
// --suite DIR takes a checkout of another state of the suite (after `npm install` there), --id TEST runs that one test and shows its exchanges,
// --json FILE keeps all results. A test passes only if those that it depends on pass too, as the suite's own pages count.

import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile, access } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'

// The whole run: some eleven rounds with two pauses of three seconds each.
const RUN_SECONDS_MAX = 300
const START_SECONDS_MAX = 20
const STOP_SECONDS_MAX = 10

const { values: options } = parseArgs({
  options: {
    proxy: { type: 'string' },
    suite: { type: 'string' },
    id: { type: 'string' },
    json: { type: 'string' },
    required: { type: 'string', default: '0' },
    optimal: { type: 'string', default: '0' }
  }
})
if (!options.proxy) throw new Error('--proxy names the program under test')

const own = path.dirname(new URL(import.meta.url).pathname)
const suiteDir = path.resolve(options.suite ?? path.join(own, 'node_modules/http-cache-tests'))
const scratch = await mkdtemp(path.join(tmpdir(), 'cache-conformance-'))
const children = []
let status = 1
try {
  const deadline = setTimeout(() => stop().then(() => {
    console.error(`not done within ${RUN_SECONDS_MAX} s`)
    process.exit(1)
  }), RUN_SECONDS_MAX * 1000)
  status = await run()
  clearTimeout(deadline)
} finally {
  await stop()
}
process.exit(status)

async function run () {
  const suite = await load(suiteDir)
  const origin = await start('the origin', process.execPath, [suite.server], /Listening on \S+?:(\d+)\/$/, {
    npm_config_port: '0', npm_config_protocol: 'http', npm_config_pidfile: path.join(scratch, 'origin.pid')
  })
  const config = path.join(scratch, 'proxy.toml')
  // `recheck` is for answers that say nothing of caching: the suite counts on such an answer not being reused at once.
  await writeFile(config, `
listen = ["127.0.0.1:0"]
admin = "127.0.0.1:0"
[cache]
dir = "${path.join(scratch, 'cache')}"
max_size = "64MiB"
min_free = "1MiB"
[[upstream]]
name = "suite"
mount = "/"
url = "http://127.0.0.1:${origin}/"
recheck = "0s"
`)
  const proxy = await start('the proxy', path.resolve(options.proxy), ['--config', config], /serves\s+http:\/\/\S+?:(\d+)\//)
  const tests = only(suite.tests)
  await suite.run(tests, `http://127.0.0.1:${proxy}`)
  const results = suite.results()
  if (options.json) await writeFile(options.json, JSON.stringify(results, null, 1))
  return report(suite, tests, results)
}

// The two layouts of the suite: the newest state, and that of the package 0.4.5.
async function load (dir) {
  const module = (...names) => import(pathToFileURL(path.join(dir, ...names)).href)
  const isNew = await access(path.join(dir, 'test-engine')).then(() => true, () => false)
  const engine = isNew ? ['test-engine'] : []
  const { default: tests } = await module('tests', 'index.mjs')
  const { runTests, getResults } = await module(...engine, 'client', 'runner.mjs')
  const { determineTestResult } = await module(...engine, 'lib', isNew ? 'results.mjs' : 'display.mjs')
  const fetch = isNew ? null : createRequire(path.join(dir, 'package.json'))('node-fetch')
  return {
    tests,
    server: path.join(dir, ...engine, 'server', 'server.mjs'),
    run: (tests, base) => isNew ? runTests(tests, false, base) : runTests(tests, fetch, false, base, 25),
    results: getResults,
    judge: (id, results) => determineTestResult(tests, id, results)[2]
  }
}

function only (tests) {
  if (!options.id) return tests
  const one = tests.map(group => ({ ...group, tests: group.tests.filter(test => test.id === options.id) }))
  one.forEach(group => group.tests.forEach(test => { test.dump = true }))
  return one.filter(group => group.tests.length > 0)
}

function report (suite, groups, results) {
  const scores = { required: [0, 0], optimal: [0, 0], check: [0, 0] }
  const failing = { required: [], optimal: [], check: [] }
  for (const test of groups.flatMap(group => group.tests)) {
    // Those for browsers are not run.
    if (!(test.id in results)) continue
    const kind = test.kind ?? 'required'
    const symbol = suite.judge(test.id, results)
    const passes = symbol === '✅' || symbol === 'Y'
    scores[kind][0] += passes
    scores[kind][1] += 1
    if (!passes) failing[kind].push(`${test.id}: ${results[test.id] === true ? 'depends on a test that fails' : results[test.id].join(': ')}`)
  }
  for (const kind of ['required', 'optimal']) {
    console.log(`\n${kind} tests that fail:`)
    failing[kind].forEach(line => console.log(`  ${line}`))
  }
  console.log()
  for (const [kind, [passed, all]] of Object.entries(scores)) console.log(`${kind}: ${passed} of ${all}`)
  const short = ['required', 'optimal'].filter(kind => scores[kind][0] < Number(options[kind]))
  short.forEach(kind => console.log(`below the floor: at least ${options[kind]} ${kind} tests are to pass`))
  return short.length > 0 && !options.id ? 1 : 0
}

// Starts a program and answers the port that it says it listens on.
function start (what, program, args, pattern, variables = {}) {
  const child = spawn(program, args, { cwd: scratch, env: { ...process.env, ...variables }, stdio: ['ignore', 'pipe', 'pipe'] })
  children.push(child)
  return new Promise((resolve, reject) => {
    let printed = ''
    const read = chunk => {
      printed += chunk
      if (options.id) process.stdout.write(chunk)
      const found = printed.match(new RegExp(pattern.source, 'm'))
      if (found) resolve(Number(found[1]))
    }
    child.stdout.on('data', read)
    child.stderr.on('data', read)
    child.on('error', reject)
    child.on('exit', code => reject(new Error(`${what} ended with ${code}: ${printed}`)))
    setTimeout(() => reject(new Error(`${what} did not say where it listens: ${printed}`)), START_SECONDS_MAX * 1000).unref()
  })
}

async function stop () {
  await Promise.all(children.filter(child => child.exitCode === null && child.signalCode === null).map(end))
  await rm(scratch, { recursive: true, force: true })
}

function end (child) {
  return new Promise(resolve => {
    const force = setTimeout(() => child.kill('SIGKILL'), STOP_SECONDS_MAX * 1000)
    child.on('exit', () => { clearTimeout(force); resolve() })
    child.kill('SIGTERM')
    // A second one: it need not wait for connections that are open.
    setTimeout(() => child.kill('SIGTERM'), 200).unref()
  })
}
