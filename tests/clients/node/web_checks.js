// connect-redis under Express, and rate-limiter-flexible, over node-redis and ioredis: node web_checks.js HOST PORT. Prints
// "ok NAME" for each promise that held.
'use strict'
const assert = require('node:assert')
const { once } = require('node:events')
const express = require('express')
const session = require('express-session')
const Redis = require('ioredis')
const { RedisStore } = require('connect-redis')
const { createClient } = require('redis')
const { BurstyRateLimiter, RateLimiterQueue, RateLimiterRedis } = require('rate-limiter-flexible')

const [host, port] = process.argv.slice(2)
const LONG_S = 3600 // a time that does not pass in a test
let client, ioredis

// A site that counts a visitor's visits in the session.
function siteOf (store) {
  const site = express()
  site.use(session({ store, secret: 'secret', resave: false, saveUninitialized: false }))
  site.get('/visit', (request, response) => {
    request.session.visits = (request.session.visits || 0) + 1
    response.json(request.session.visits)
  })
  site.get('/leave', (request, response) => request.session.destroy(() => response.json(true)))
  return site
}

async function listening (site) {
  const server = site.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const base = `http://127.0.0.1:${server.address().port}`
  const get = async (path, cookie) => {
    const response = await fetch(base + path, { headers: cookie ? { cookie } : {} })
    return { body: await response.json(), cookie: response.headers.get('set-cookie')?.split(';')[0] }
  }
  return { get, close: () => server.close() }
}

const promised = (store, method, ...args) => store[method](...args)

async function refused (promise) {
  const why = await promise.then(() => null, reason => reason)
  assert.ok(why && why.msBeforeNext > 0, `not refused: ${why}`)
  return why
}

const limiterOf = (options) => new RateLimiterRedis({ points: 3, duration: LONG_S, ...options })

const checks = {
  async 'a session is kept from request to request, and from site to site' () {
    const store = new RedisStore({ client, prefix: 'sess:', ttl: LONG_S })
    const [one, other] = [await listening(siteOf(store)), await listening(siteOf(store))]
    const first = await one.get('/visit')
    assert.strictEqual(first.body, 1)
    assert.strictEqual((await other.get('/visit', first.cookie)).body, 2)
    assert.strictEqual((await one.get('/visit')).body, 1)
    const [key] = await client.keys('sess:*')
    assert.ok(await client.ttl(key) > 0)
    await one.get('/leave', first.cookie)
    assert.strictEqual((await other.get('/visit', first.cookie)).body, 1)
    one.close()
    other.close()
  },
  async 'a store lists, counts, touches and clears its sessions' () {
    const store = new RedisStore({ client, prefix: 'many:', ttl: LONG_S, scanCount: 10 })
    for (let n = 0; n < 150; n++) await promised(store, 'set', `s${n}`, { cookie: {}, n })
    assert.strictEqual(await promised(store, 'length'), 150)
    assert.strictEqual((await promised(store, 'ids')).length, 150)
    assert.strictEqual((await promised(store, 'all')).reduce((sum, one) => sum + one.n, 0), 149 * 150 / 2)
    await client.expire('many:s7', 10)
    await promised(store, 'touch', 's7', { cookie: {} })
    assert.ok(await client.ttl('many:s7') > 10)
    await promised(store, 'set', 'over', { cookie: { expires: new Date(Date.now() - 1000) } })
    assert.strictEqual(await promised(store, 'get', 'over') ?? null, null)
    await promised(store, 'clear')
    assert.strictEqual(await promised(store, 'length'), 0)
  },
  async 'as many points as there are, over both clients' () {
    for (const [name, storeClient, useRedisPackage] of [['io', ioredis, false], ['node', client, true]]) {
      const limiter = limiterOf({ storeClient, useRedisPackage, keyPrefix: name })
      const all = await Promise.allSettled(Array.from({ length: 10 }, () => limiter.consume('visitor')))
      assert.strictEqual(all.filter(one => one.status === 'fulfilled').length, 3)
      assert.strictEqual((await limiter.get('visitor')).consumedPoints, 10)
      assert.strictEqual((await limiter.consume('another', 2)).remainingPoints, 1)
      assert.strictEqual((await limiter.reward('another', 1)).remainingPoints, 2)
      assert.strictEqual((await limiter.penalty('another', 2)).consumedPoints, 3)
      await refused(limiter.consume('another'))
      assert.ok(await limiter.delete('another'))
      assert.strictEqual(await limiter.get('another'), null)
      await limiter.block('blocked', LONG_S)
      assert.ok((await refused(limiter.consume('blocked'))).msBeforeNext > LONG_S * 500)
    }
  },
  async 'points come back when their time is over, and who overdraws is blocked' () {
    const brief = limiterOf({ storeClient: ioredis, keyPrefix: 'brief', points: 1, duration: 1 })
    await brief.consume('visitor')
    while (await brief.consume('visitor').then(() => false, () => true)) await new Promise(resolve => setTimeout(resolve, 20))
    const strict = limiterOf({ storeClient: ioredis, keyPrefix: 'strict', points: 1, blockDuration: 2 * LONG_S })
    await strict.consume('visitor')
    await refused(strict.consume('visitor'))
    assert.ok(await ioredis.ttl('strict:visitor') > LONG_S)
  },
  async 'bursts draw on points of their own, and a queue waits for its turn' () {
    const bursty = new BurstyRateLimiter(
      limiterOf({ storeClient: ioredis, keyPrefix: 'steady', points: 1 }),
      limiterOf({ storeClient: ioredis, keyPrefix: 'burst', points: 2 }))
    for (let n = 0; n < 3; n++) await bursty.consume('visitor')
    await refused(bursty.consume('visitor'))
    const queue = new RateLimiterQueue(limiterOf({ storeClient: ioredis, keyPrefix: 'queue', points: 2, duration: 1 }))
    await Promise.all(Array.from({ length: 4 }, () => queue.removeTokens(1, 'visitor')))
  }
}

async function main () {
  client = await createClient({ socket: { host, port: Number(port) } }).connect()
  ioredis = new Redis({ host, port: Number(port) })
  for (const [name, check] of Object.entries(checks)) {
    await check()
    console.log('ok', name)
  }
  await client.close()
  ioredis.disconnect()
}

main().then(() => process.exit(0), error => { console.error(error); process.exit(1) })
