#!/usr/bin/python3
"""A Slurm job array of four tasks on one node, submitted by sbatch: each a program whose producer is five times as fast as
its consumer (tools/demo/queue.cpp). The job script sets LD_PRELOAD, a capacity and a group for the program, which share
the capacity through it."""
import os
import re
import time

from fleet import MIB, SLAB, Pressure, anonymous, check, group, mib, seen, settings, waits_of
from slurm import Slurm

TASKS, CAPACITY = 4, 64 * MIB
LOAD = 60, 100, 20  # MiB, MiB/s made, MiB/s taken
MARGIN = CAPACITY / 256 + CAPACITY / 128 + TASKS * SLAB + CAPACITY / 8  # as in test_mpi.py; the last for grants
OTHERWISE = 3 * MIB  # of each task, what is not from malloc


def run(slurm, program, name, environment):
    """(most that the tasks had resident together, what stat showed of them each time, what they said)"""
    home = slurm.side.dir / name
    home.mkdir()
    words = ' '.join(f"{key}='{value}'" for key, value in environment.items())
    job = slurm.submit(f'#!/bin/sh\necho $$ >{home}/pid.$SLURM_ARRAY_TASK_ID\nexec env {words} {program} '
                       f'{" ".join(map(str, LOAD))}\n', f'--array=0-{TASKS - 1}', '--ntasks=1', f'--output={home}/out.%a')
    most, looks, until_ = 0, [], time.monotonic() + 60
    try:
        while not slurm.ended(job):
            pids = [int(text) for file in home.glob('pid.*') if (text := file.read_text().strip())]
            for _ in range(20):
                most = max(most, sum(anonymous(pid) or 0 for pid in pids))
                time.sleep(0.01)
            if environment:
                looks.append([figures for pid in pids if (figures := seen(pid))])
            check({'the job ends': time.monotonic() < until_}, name)
    finally:
        slurm.end_job(job)
    said = [(home / f'out.{task}').read_text() for task in range(TASKS)]
    check({'each task ended well': slurm.states(job) == [('COMPLETED', '0:0')] * TASKS,
           'nothing was lost': all(re.search(r'^produced=(\d+) consumed=\1 damaged=0 ', text, re.M) for text in said)},
          (slurm.states(job), said))
    return most, looks


with Pressure() as trial:
    with trial.scene('slurm') as side, group() as name:
        slurm = Slurm(side)
        program = os.environ['FLEET_QUEUE']
        plain, _ = run(slurm, program, 'plain', {})
        most, looks = run(slurm, program, 'group', settings(trial, side, capacity=CAPACITY, group=name))
        slurm.stop()
    tasks = trial.figures('slurm', 'demo-queue')
    print(f'{TASKS} tasks: plain {mib(plain)} at most; in a group of {mib(CAPACITY)} {mib(most)}')
    for task in tasks:
        print(f'  {waits_of(task)}')
    full = [look for look in looks if len(look) == TASKS]
    used = [figures['used'] for look in full for figures in look]
    members = [{figures['group_members'] for figures in look} for look in full]
    check({'without a capacity they take more': plain > 1.5 * CAPACITY,
           'each task wrote its figures': len(tasks) == TASKS,
           'all share one capacity': {task['capacity'] for task in tasks} == {CAPACITY},
           'they waited': all(task['waits']['count'] > 0 for task in tasks),
           'stat showed all, each with all as members of its group': {TASKS} in members,
           'what the group uses stayed within the capacity': max(used, default=0) <= CAPACITY + MARGIN,
           'and so it is by the kernel\'s figures': most <= CAPACITY + MARGIN + TASKS * OTHERWISE,
           'it was used': max(used, default=0) > 0.7 * CAPACITY}, (plain, most, members, used))
