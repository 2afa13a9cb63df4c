// BullMQ against a server: node bullmq_checks.js HOST PORT. Prints "ok NAME" for each promise that held. Its queues are lists,
// sorted sets and scripts; its events a stream that it trims.
'use strict'
const assert = require('node:assert')
const { FlowProducer, Queue, QueueEvents, Worker } = require('bullmq')

const [host, port] = process.argv.slice(2)
const connection = { host, port: Number(port) }
const opened = []

function open (Class, ...args) {
  const one = new Class(...args)
  opened.push(one)
  return one
}

async function queueOf (name, lastEventId = '$') {
  const queue = open(Queue, name, { connection })
  const events = open(QueueEvents, name, { connection, lastEventId })
  await Promise.all([queue.waitUntilReady(), events.waitUntilReady()])
  return { queue, events }
}

const worker = (name, process, options) => open(Worker, name, process, { connection, ...options })

const checks = {
  async 'every job is done once, by several workers' () {
    const { queue, events } = await queueOf('many')
    const seen = new Map()
    const process = async job => { seen.set(job.data.n, (seen.get(job.data.n) || 0) + 1); return job.data.n * 2 }
    for (let i = 0; i < 3; i++) worker('many', process, { concurrency: 5 })
    const jobs = await queue.addBulk(Array.from({ length: 300 }, (_, n) => ({ name: 'double', data: { n } })))
    const results = await Promise.all(jobs.map(job => job.waitUntilFinished(events)))
    assert.deepStrictEqual(results, jobs.map((_, n) => n * 2))
    assert.ok([...seen.values()].every(times => times === 1) && seen.size === 300)
    assert.strictEqual((await queue.getJobCounts('completed')).completed, 300)
  },
  async 'what fails is tried again, and then has failed' () {
    const { queue, events } = await queueOf('retries')
    worker('retries', async job => {
      if (job.attemptsMade < job.data.failures) throw new Error('not yet')
      return 'done'
    })
    const options = { attempts: 3, backoff: { type: 'fixed', delay: 10 } }
    const [patient, hopeless] = await Promise.all([2, 9].map(failures => queue.add('try', { failures }, options)))
    assert.strictEqual(await patient.waitUntilFinished(events), 'done')
    await assert.rejects(hopeless.waitUntilFinished(events), /not yet/)
    assert.deepStrictEqual((await queue.getFailed()).map(job => job.id), [hopeless.id])
  },
  async 'priorities and delays are kept' () {
    const { queue, events } = await queueOf('order')
    const add = (name, options) => queue.add(name, {}, options)
    const jobs = [await add('later', { delay: 100 }), await add('low', { priority: 10 }), await add('high', { priority: 1 })]
    const order = []
    worker('order', async job => { order.push(job.name) })
    await Promise.all(jobs.map(job => job.waitUntilFinished(events)))
    assert.deepStrictEqual(order.filter(name => name !== 'later'), ['high', 'low'])
    const later = await queue.getJob(jobs[0].id)
    assert.ok(later.processedOn >= later.timestamp + 100)
  },
  async 'a parent waits for its children' () {
    const { events } = await queueOf('flow')
    worker('flow', async job => job.name === 'parent' ? Object.values(await job.getChildrenValues()).sort() : job.name)
    const children = ['a', 'b', 'c'].map(name => ({ name, queueName: 'flow' }))
    const flow = await open(FlowProducer, { connection }).add({ name: 'parent', queueName: 'flow', children })
    assert.deepStrictEqual(await flow.job.waitUntilFinished(events), ['a', 'b', 'c'])
  },
  async 'events are a stream that can be read again and is trimmed' () {
    const { queue } = await queueOf('events')
    for (let n = 0; n < 50; n++) await queue.add('event', { n })
    const redis = await queue.client
    const key = queue.toKey('events')
    const kinds = (await redis.xrange(key, '-', '+')).map(([, fields]) => fields[fields.indexOf('event') + 1])
    assert.strictEqual(kinds.filter(kind => kind === 'added').length, 50)
    await queue.trimEvents(5)
    assert.ok(await redis.xlen(key) <= 50 * 2)
    assert.strictEqual(await redis.type(key), 'stream')
    await queue.obliterate({ force: true })
  },
  async 'a schedule makes jobs until its limit, or until it is taken back' () {
    const { queue } = await queueOf('schedules')
    await queue.upsertJobScheduler('yearly', { pattern: '0 0 1 1 *' }, { name: 'yearly' })
    assert.strictEqual(await queue.getDelayedCount(), 1)
    assert.ok(await queue.removeJobScheduler('yearly'))
    assert.strictEqual(await queue.getDelayedCount(), 0)
    let done = 0
    const enough = new Promise(resolve => worker('schedules', async () => { if (++done === 3) resolve() }))
    await queue.upsertJobScheduler('often', { every: 20, limit: 3 }, { name: 'often' })
    await enough
  },
  async 'what a lost worker held is done by another' () {
    const { queue, events } = await queueOf('stalled', '0-0')
    const job = await queue.add('held', {})
    const lost = open(Worker, 'stalled', null, { connection })
    assert.strictEqual((await lost.getNextJob('token')).id, job.id)
    assert.strictEqual(await (await queue.client).del(`${queue.toKey(job.id)}:lock`), 1)
    const stalled = new Promise(resolve => events.once('stalled', resolve))
    worker('stalled', async () => 'by another', { stalledInterval: 50 })
    assert.strictEqual(await job.waitUntilFinished(events), 'by another')
    assert.strictEqual((await stalled).jobId, job.id)
  },
  async 'no more jobs are done than the limit of a time allows' () {
    const { queue, events } = await queueOf('limited')
    const [first] = await queue.addBulk(['a', 'b'].map(name => ({ name, data: {} })))
    const limiter = { max: 1, duration: 3600 * 1000 }
    const limited = worker('limited', async () => 'done', { limiter })
    assert.strictEqual(await first.waitUntilFinished(events), 'done')
    assert.ok(await queue.getRateLimitTtl(1) > 0)
    assert.strictEqual(await queue.getCompletedCount(), 1)
    await limited.close(true)
    assert.strictEqual(await queue.removeRateLimitKey(), 1)
    const second = new Promise(resolve => worker('limited', async job => resolve(job.name)))
    assert.strictEqual(await second, 'b')
  },
  async 'jobs of one kind are taken once, and a pause holds all' () {
    const { queue, events } = await queueOf('once')
    await queue.pause()
    const add = () => queue.add('same', {}, { deduplication: { id: 'same' } })
    const [one, same] = [await add(), await add()]
    assert.strictEqual(one.id, same.id)
    assert.ok(await queue.isPaused())
    worker('once', async () => 'done')
    await queue.resume()
    assert.strictEqual(await one.waitUntilFinished(events), 'done')
    assert.strictEqual((await queue.getJobCounts('completed')).completed, 1)
  }
}

async function main () {
  for (const [name, check] of Object.entries(checks)) {
    await check()
    console.log('ok', name)
  }
  await Promise.all(opened.map(one => one.close()))
}

main().then(() => process.exit(0), error => { console.error(error); process.exit(1) })
