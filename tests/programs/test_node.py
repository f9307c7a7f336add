#!/usr/bin/python3
"""Node: a large C++ program with its own JavaScript heap, a thread pool, worker threads and a child process."""
from harness import Trial, need, work

node = need('/usr/bin/node')
with Trial() as trial:
    for side in trial.sides():
        side.run([node, work('node.js')])
    trial.same_output()
    trial.served('node', peak='40m', exactly=2)
