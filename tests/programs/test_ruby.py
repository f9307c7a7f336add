#!/usr/bin/python3
"""Debian's ruby. Its forked children end by exit, so each of them writes statistics too."""
from harness import Trial, need, work

ruby = need('/usr/bin/ruby')
with Trial() as trial:
    for side in trial.sides():
        side.run([ruby, work('ruby.rb')])
    trial.same_output()
    trial.served('ruby', peak='50m', exactly=7)
