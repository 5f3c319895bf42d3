// @clickhouse/client against the engine: every way that its users write and read.

import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { ClickHouseLogLevel, createClient } from '@clickhouse/client'

const [address, password] = process.argv.slice(2)
// The client logs the errors that are expected here.
const log = { level: ClickHouseLogLevel.OFF }
const options = { url: `http://${address}`, username: 'checker', password, log }
const connect = (more = {}) => createClient({ ...options, ...more })
const ok = (what) => console.log(`node: ok: ${what}`)
const rows = async (client, query, more = {}) => (await client.query({ query, format: 'JSONEachRow', ...more })).json()

const client = connect()
assert.equal((await client.ping()).success, true)
await client.command({ query: 'CREATE DATABASE js ENGINE = Atomic' })
await client.command({
  query: 'CREATE TABLE js.t (id UInt64, name String, tags Map(String, String)) ENGINE = MergeTree ORDER BY id',
})
ok('ping and tables')

for (const compression of [{ request: false, response: false }, { request: true, response: true }]) {
  const own = connect({ compression })
  const values = Array.from({ length: 5000 }, (_, id) => ({ id, name: `name ${id}`, tags: { k: `${id}` } }))
  await own.command({ query: 'TRUNCATE TABLE js.t' })
  await own.insert({ table: 'js.t', values, format: 'JSONEachRow' })
  const back = await rows(own, 'SELECT * FROM js.t ORDER BY id LIMIT 2')
  assert.deepEqual(back.map((row) => ({ ...row, id: Number(row.id) })), values.slice(0, 2))
  await own.close()
}
ok('JSONEachRow, plain and compressed')

await client.insert({ table: 'js.t', values: Readable.from(['9001,streamed,{}\n', '9002,streamed,{}\n'], { objectMode: false }), format: 'CSV' })
assert.equal(Number((await rows(client, "SELECT count() AS c FROM js.t WHERE name = 'streamed'"))[0].c), 2)
ok('a streamed insert')

const parameters = { query_params: { a: 41, b: "it's \\ \n", c: ['x', "y'"] } }
assert.deepEqual(await rows(client, 'SELECT {a:UInt32} + 1 AS a, {b:String} AS b, {c:Array(String)} AS c', parameters), [
  { a: 42, b: "it's \\ \n", c: ['x', "y'"] },
])
const threads = await rows(client, "SELECT getSetting('max_threads') AS n", { clickhouse_settings: { max_threads: 3 } })
assert.equal(Number(threads[0].n), 3)
ok('parameters and settings')

const session = connect({ session_id: 'js-session', max_open_connections: 1 })
await session.command({ query: 'CREATE TEMPORARY TABLE mine (a UInt8)' })
await session.insert({ table: 'mine', values: [{ a: 1 }, { a: 2 }], format: 'JSONEachRow' })
assert.equal(Number((await rows(session, 'SELECT sum(a) AS s FROM mine'))[0].s), 3)
await assert.rejects(rows(client, 'SELECT * FROM mine'), /mine/)
await session.close()
ok('a session with a temporary table')

const stream = (await client.query({ query: 'SELECT number FROM numbers(1000000)', format: 'JSONCompactEachRow' })).stream()
let count = 0
for await (const part of stream) count += part.length
assert.equal(count, 1_000_000)
const whole = await (await client.query({ query: 'SELECT number FROM numbers(300000)', format: 'JSON' })).json()
assert.equal(whole.rows, 300_000)
ok('streamed and whole answers')

await assert.rejects(rows(client, 'SELECT * FROM js.missing'), (error) => error.code === '60' && error.type === 'UNKNOWN_TABLE')
await assert.rejects(
  rows(client, "SELECT number, throwIf(number = 2000000, 'halfway') FROM numbers(10000000)"),
  (error) => error.code === '395' && /halfway/.test(error.message),
)
assert.deepEqual(await rows(client, 'SELECT 1 AS one'), [{ one: 1 }])
ok('errors before and in the middle of an answer')

const many = connect({ max_open_connections: 64 })
const answers = await Promise.all(Array.from({ length: 64 }, (_, n) => rows(many, `SELECT ${n} AS n`)))
assert.deepEqual(answers.map(([row]) => row.n), Array.from({ length: 64 }, (_, n) => n))
await many.close()
ok('64 queries at once')

const abort = new AbortController()
const endless = client.query({ query: 'SELECT sum(sipHash64(number)) FROM numbers(1000000000000)', abort_signal: abort.signal })
const running = async () =>
  Number((await rows(client, "SELECT count() AS c FROM system.processes WHERE query LIKE '%sipHash64%' AND query NOT LIKE '%processes%'"))[0].c)
const deadline = Date.now() + 20_000
while ((await running()) === 0) assert.ok(Date.now() < deadline, 'the query never ran')
abort.abort()
await assert.rejects(endless)
while ((await running()) > 0) assert.ok(Date.now() < deadline, 'the query of a client that went away still runs')
ok('the query of a client that went away has ended')
await client.close()
