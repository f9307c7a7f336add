#!/usr/bin/python3
"""Debian's perl. Its forked children end by exit, so each of them writes statistics too."""
from harness import Trial, need, work

perl = need('/usr/bin/perl')
with Trial() as trial:
    for side in trial.sides():
        side.run([perl, work('perl.pl')], env={'PERL_HASH_SEED': '0'})
    trial.same_output()
    trial.served('perl', peak='20m', exactly=7)
