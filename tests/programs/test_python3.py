#!/usr/bin/python3
"""Debian's python3, with its own small-object pools and with every object from malloc."""
from harness import Trial, need, work

python = need('/usr/bin/python3')
with Trial() as trial:
    for side in trial.sides():
        for malloc in ('pymalloc', 'malloc'):
            side.run([python, '-W', 'error', work('python3.py')], env={'PYTHONMALLOC': malloc, 'PYTHONHASHSEED': '1'})
    trial.same_output()
    # Two runs with two children by subprocess each; what was forked ends by _exit and writes nothing.
    trial.served('python3', peak='25m', exactly=6)
