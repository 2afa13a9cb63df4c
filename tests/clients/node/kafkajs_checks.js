// kafkajs against a broker: node kafkajs_checks.js HOST:PORT PREFIX. Prints "ok NAME" for each promise that held.
'use strict'
const assert = require('node:assert')
const { Kafka, CompressionTypes, logLevel } = require('kafkajs')

const [broker, prefix] = process.argv.slice(2)
const kafka = new Kafka({ clientId: 'checks', brokers: [broker], logLevel: logLevel.ERROR })
const admin = kafka.admin()

// Resolves with the first `count` messages that a new member of the group is given.
async function consume (topic, groupId, count) {
  const consumer = kafka.consumer({ groupId, sessionTimeout: 10000, heartbeatInterval: 500 })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  const messages = []
  await new Promise((resolve, reject) => {
    consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error))
    consumer.run({
      eachMessage: async ({ partition, message }) => {
        messages.push({ partition, message })
        if (messages.length === count) resolve()
      }
    }).catch(reject)
  })
  await consumer.disconnect()
  return messages
}

async function produce (topic, messages, options = {}) {
  const producer = kafka.producer({ allowAutoTopicCreation: false, ...options.producer })
  await producer.connect()
  const result = await producer.send({ topic, messages, acks: -1, compression: options.compression })
  await producer.disconnect()
  return result
}

const checks = {
  async 'topics are created and described' (topic) {
    assert.strictEqual(await admin.createTopics({ topics: [{ topic, numPartitions: 2 }] }), true)
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
    assert.strictEqual(topics[0].partitions.length, 2)
  },
  async 'records come back with keys and headers' (topic) {
    await admin.createTopics({ topics: [{ topic }] })
    const messages = Array.from({ length: 100 }, (_, n) => ({ key: `k${n}`, value: `v${n}`, headers: { h: 'x' } }))
    const [{ baseOffset }] = await produce(topic, messages)
    assert.strictEqual(baseOffset, '0')
    const got = await consume(topic, topic, 100)
    assert.deepStrictEqual(got.map(({ message }) => message.value.toString()), messages.map(({ value }) => value))
    assert.strictEqual(got[0].message.headers.h.toString(), 'x')
  },
  async 'gzip batches pass' (topic) {
    await admin.createTopics({ topics: [{ topic }] })
    await produce(topic, [{ value: 'x'.repeat(10000) }], { compression: CompressionTypes.GZIP })
    assert.strictEqual((await consume(topic, topic, 1))[0].message.value.length, 10000)
  },
  async 'an idempotent producer is accepted' (topic) {
    await admin.createTopics({ topics: [{ topic }] })
    await produce(topic, [{ value: '1' }, { value: '2' }], { producer: { idempotent: true } })
    assert.strictEqual((await consume(topic, topic, 2)).length, 2)
  },
  async 'committed offsets are fetched' (topic) {
    await admin.createTopics({ topics: [{ topic }] })
    await produce(topic, Array.from({ length: 5 }, () => ({ value: 'x' })))
    await admin.setOffsets({ groupId: topic, topic, partitions: [{ partition: 0, offset: '3' }] })
    const [{ partitions }] = await admin.fetchOffsets({ groupId: topic, topics: [topic] })
    assert.deepStrictEqual(partitions.map(({ offset }) => offset), ['3'])
    assert.strictEqual((await consume(topic, topic, 1))[0].message.offset, '3')
  },
  async 'offsets of a topic are listed' (topic) {
    await admin.createTopics({ topics: [{ topic }] })
    await produce(topic, [{ value: 'x' }])
    const [{ low, high }] = await admin.fetchTopicOffsets(topic)
    assert.deepStrictEqual([low, high], ['0', '1'])
  }
}

async function main () {
  await admin.connect()
  let number = 0
  for (const [name, check] of Object.entries(checks)) {
    await check(`${prefix}-${number++}`)
    console.log(`ok ${name}`)
  }
  await admin.disconnect()
}

main().then(() => process.exit(0), error => { console.error(error); process.exit(1) })
