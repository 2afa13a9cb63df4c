// ioredis against a server: node ioredis_checks.js HOST PORT. Prints "ok NAME" for each promise that held.
'use strict'
const assert = require('node:assert')
const Redis = require('ioredis')

const [host, port] = process.argv.slice(2)
const connect = () => new Redis({ host, port: Number(port), maxRetriesPerRequest: 1 })

const checks = {
  async 'pipelines answer in order' (redis) {
    const pipeline = redis.pipeline()
    for (let n = 0; n < 100; n++) pipeline.incr('counter')
    const replies = await pipeline.exec()
    assert.deepStrictEqual(replies.map(([error, value]) => value), Array.from({ length: 100 }, (_, n) => n + 1))
  },
  async 'transactions are atomic and typed' (redis) {
    const [[, set], [, list]] = await redis.multi().hset('h', { a: 1, b: 2 }).hgetall('h').exec()
    assert.strictEqual(set, 2)
    assert.deepStrictEqual(list, { a: '1', b: '2' })
  },
  async 'subscribers hear what others publish' (redis) {
    const subscriber = connect()
    await subscriber.subscribe('news')
    const heard = new Promise(resolve => subscriber.on('message', (channel, text) => resolve([channel, text])))
    await redis.publish('news', 'hello')
    assert.deepStrictEqual(await heard, ['news', 'hello'])
    await subscriber.quit()
  },
  async 'blocking pops hand over buffers unchanged' (redis) {
    const blocked = connect()
    const value = Buffer.from([0, 13, 10, 255])
    const popped = blocked.blpopBuffer('queue', 10)
    await redis.rpush('queue', value)
    assert.deepStrictEqual((await popped)[1], value)
    await blocked.quit()
  },
  async 'scan streams walk all keys' (redis) {
    await redis.mset(Object.fromEntries(Array.from({ length: 500 }, (_, n) => [`scan:${n}`, n])))
    const seen = new Set()
    for await (const keys of redis.scanStream({ match: 'scan:*', count: 50 })) keys.forEach(key => seen.add(key))
    assert.strictEqual(seen.size, 500)
  }
}

async function main () {
  const redis = connect()
  for (const [name, check] of Object.entries(checks)) {
    await redis.flushall()
    await check(redis)
    console.log(`ok ${name}`)
  }
  await redis.quit()
}

main().catch(error => { console.error(error); process.exit(1) })
