#!/usr/bin/python3
"""The sqlite3 shell: the answers and the database file are the same to the byte."""
from harness import Trial, need, work

sqlite = need('/usr/bin/sqlite3')
with Trial() as trial:
    for side in trial.sides():
        with open(work('sqlite.sql'), 'rb') as script:
            side.run([sqlite, '-batch', 'test.db'], input=script.read())
    trial.same_output()
    trial.same_files('test.db')
    trial.served('sqlite3', peak='20m', exactly=1)
