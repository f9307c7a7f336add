// Work for node: Buffers, JSON, zlib, crypto, worker threads, child processes. Prints sums only. V8 maps the JavaScript
// heap itself; what comes from malloc is buffers, compression state, compiler zones and the C++ around them.
'use strict';
const { createHash, pbkdf2Sync } = require('crypto');
const { execFileSync } = require('child_process');
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const zlib = require('zlib');

const digest = (data) => createHash('sha256').update(data).digest('hex').slice(0, 16);
let seed = 42;
const rnd = (n) => (seed = (seed * 1103515245 + 12345) % 2147483648, Math.floor(seed / 65536) % n);

function churn(rounds) {
  const kept = [];
  let sum = 0;
  for (let i = 0; i < rounds; i++) {
    kept.push(Buffer.allocUnsafeSlow(1 + (i * 7919) % 20000).fill(i & 255));
    if (kept.length > 500) sum += kept.splice(i % 500, 1)[0].length;
  }
  return sum + kept.reduce((total, b) => total + b.length + b[0], 0);
}

async function main() {
  const table = new Map();
  for (let i = 0; i < 30000; i++) {
    table.set(`key ${i}`, { id: i, text: 'x'.repeat(rnd(700)), list: Array(rnd(20)).fill(i) });
  }
  for (let i = 0; i < 10000; i++) table.delete(`key ${i * 3}`);
  const text = JSON.stringify([...table]);
  console.log('json', text.length, digest(text), digest(JSON.stringify(JSON.parse(text), null, 1)));
  console.log('buffers', churn(30000));

  const data = Buffer.from(text);
  for (const level of [1, 9]) {
    const packed = zlib.deflateSync(data, { level });
    console.log('deflate', level, packed.length, digest(packed), zlib.inflateSync(packed).equals(data));
  }
  const many = await Promise.all([...Array(24).keys()].map((n) => new Promise((resolve, reject) => {
    zlib.gzip(data.subarray(n * 1000, n * 1000 + 400000), (error, out) => error ? reject(error) : resolve(out.length));
  })));
  console.log('gzip in the thread pool', many.join(' '));
  console.log('brotli', zlib.brotliCompressSync(data.subarray(0, 500000), {
    params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 4 } }).length);
  console.log('pbkdf2', digest(pbkdf2Sync('a', 'b', 1000, 100000, 'sha512')));

  const workers = [...Array(4).keys()].map((n) => new Promise((resolve, reject) => {
    const worker = new Worker(__filename, { workerData: n });
    worker.once('message', resolve);
    worker.once('error', reject);
  }));
  console.log('workers', (await Promise.all(workers)).join(' '));

  const script = 'console.log(Buffer.alloc(5e6, 1).reduce((a, b) => a + b))';
  console.log('child', execFileSync(process.execPath, ['-e', script]).toString());
}

if (isMainThread) main();
else parentPort.postMessage(churn(5000 + 1000 * workerData));
