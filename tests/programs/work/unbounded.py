"""A thread that makes messages and one that uses them up, with an unbounded queue.Queue() between them.

unbounded.py TOTAL_MIB PRODUCER_MIB_S CONSUMER_MIB_S paced|each

The producer makes them at its rate; 0: as fast as it can, without ever letting the interpreter's lock go by itself.
`paced`: the consumer keeps to its rate by the clock, and catches up when it is late. `each`: it works without the lock
for each message, as one that writes each of them somewhere would, and so has to ask for the lock as often.
"""
import queue
import resource
import sys
import threading
import time

MIB = 1 << 20
SIZES = (600, 1500, 4000, 7000)  # above what pymalloc keeps to itself
total, produce, consume = int(sys.argv[1]) * MIB, float(sys.argv[2]) * MIB, float(sys.argv[3]) * MIB
catches_up = sys.argv[4] == 'paced'
messages = queue.Queue()
seen = {}


def wait_until(due):
    if (left := due - time.monotonic()) > 0:
        time.sleep(left)


def producer():
    start, made, number = time.monotonic(), 0, 0
    while made < total:
        if produce:
            wait_until(start + made / produce)
        message = number.to_bytes(8, 'little') + bytes(SIZES[number % len(SIZES)])
        messages.put(message)
        made += len(message)
        number += 1
    messages.put(None)
    seen.update(made=number, producer_s=time.monotonic() - start)


def consumer():
    start, used, number, empty = time.monotonic(), 0, 0, 0
    while True:
        empty += messages.empty()
        message = messages.get()
        if message is None:
            break
        if int.from_bytes(message[:8], 'little') != number:
            raise SystemExit(f'message {number} is missing')
        used += len(message)
        number += 1
        if catches_up:
            wait_until(start + used / consume)
        else:
            time.sleep(len(message) / consume)
    seen.update(used=number, consumer_s=time.monotonic() - start, empty=empty / max(number, 1))


threads = [threading.Thread(target=work) for work in (consumer, producer)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
seen['rss_mib'] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(*(f'{key}={value:.3f}' if isinstance(value, float) else f'{key}={value}' for key, value in seen.items()))
