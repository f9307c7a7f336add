#!/usr/bin/python3
"""A Redis Cluster of three masters, each under libstealth at a capacity, under load; a real Prometheus scrapes what
`stealth stat` writes of them, and answers every query of the Grafana dashboard with data.

Debian's redis is linked with libjemalloc.so and calls plain malloc: a preloaded library comes first in the search, so
it is libstealth that serves (tests/programs/test_redis.py proves it; here the figures at exit say so)."""
import re
import time

from fleet import MIB, Pressure, answers, check, fail, free_port, mib, need, seen, settings, until, waits_of
from scraped import Dashboard, Exporter, Prometheus

server_path, client_path, bench_path = map(need, ('/usr/bin/redis-server', '/usr/bin/redis-cli',
                                                  '/usr/bin/redis-benchmark'))
CAPACITY = 48 * MIB
SETS = 18_500  # of 8,000 bytes: a third of them does not fit into one master's capacity, and one has a third or more
ROUNDS, SECONDS = 3, (8, 45)  # so many rounds at least, and so long; no round begins later than the last


class Cluster:
    def __init__(self, trial, side):
        self.side, self.masters, self.ports = side, [], []
        for number in range(3):
            port, bus, home = free_port(), free_port(), side.dir / f'master{number}'
            home.mkdir()
            self.ports.append(port)
            self.masters.append(side.serve(
                [server_path, '--port', port, '--bind', '127.0.0.1', '--save', '', '--dir', home, '--maxmemory', '0',
                 '--cluster-enabled', 'yes', '--cluster-port', bus, '--enable-debug-command', 'yes'],
                lambda: answers(port), env=settings(trial, side, capacity=CAPACITY)))
        self.pids = [master.pid for master in self.masters]
        nodes = [f'127.0.0.1:{port}' for port in self.ports]
        self.side.run([client_path, '--cluster', 'create', *nodes, '--cluster-yes'], record=False)
        until(lambda: all('cluster_state:ok' in self.cli(port, 'CLUSTER', 'INFO') for port in self.ports), 'the cluster')

    def cli(self, port, *words):
        return self.side.run([client_path, '-p', port, *words], record=False).decode()

    def replace_all(self):
        """Each master throws its data away, in a thread of its own, and new ones come in at once, from all sides."""
        for port in self.ports:
            self.cli(port, 'FLUSHALL', 'SYNC')
            self.cli(port, 'DEBUG', 'POPULATE', '150000', 'old', '120')
        for port in self.ports:
            self.cli(port, 'FLUSHALL', 'ASYNC')
        out = self.side.run([bench_path, '--cluster', '-p', self.ports[0], '-q', '-P', '16', '-c', '6', '-n', str(SETS),
                             '-r', '1000000000', '-d', '8000', '-t', 'set'], record=False).decode()
        if 'requests per second' not in out:
            fail(f'redis-benchmark says nothing of its end: {out}')

    def keys(self):
        return [int(self.cli(port, 'DBSIZE')) for port in self.ports]

    def stop(self):
        for master, port in zip(self.masters, self.ports):
            master.stop(lambda port=port: self.cli(port, 'SHUTDOWN', 'NOSAVE'))


with Pressure() as trial:
    with trial.scene('cluster') as side:
        cluster = Cluster(trial, side)
        names = [str(pid) for pid in cluster.pids]
        for pid in cluster.pids:
            until(lambda: seen(pid), f'the figures of {pid}')
        with Exporter(side.dir) as exporter:
            prometheus = Prometheus(side, exporter.port)
            until(lambda: prometheus.now('up') == [({'__name__': 'up', 'instance': f'127.0.0.1:{exporter.port}',
                                                     'job': 'stealth'}, 1.0)], 'the first scrape')
            start, rounds = time.monotonic(), 0
            while (rounds < ROUNDS or time.monotonic() - start < SECONDS[0]) and time.monotonic() - start < SECONDS[1]:
                cluster.replace_all()
                rounds += 1
            keys = cluster.keys()
            # All that it must show has been scraped.
            last = {pid: seen(pid)['waits']['count'] for pid in cluster.pids}
            until(lambda: {labels['pid']: value for labels, value in prometheus.now('stealth_wait_seconds_count')
                           if labels['pid'] in names and value >= last[int(labels['pid'])]}.keys() == set(names),
                  'the last figures')
            dashboard = Dashboard(prometheus, program=['redis-server'], pid=names)
            panels = dashboard.panels()
            capacities = {labels['pid']: value for labels, value in prometheus.now('stealth_capacity_bytes')}
            alerts = [prometheus.ask('query', query=alert) for alert in (
                'rate(stealth_grants_total[10m]) > 0', 'stealth_longest_waiting_seconds > 10')]
            if exporter.failed:
                fail(f'stealth stat: {exporter.failed}')
            prometheus.stop()
        cluster.stop()
    print(f'{rounds} rounds, {time.monotonic() - start:.1f} s; keys {keys}; {len(panels)} queries of the dashboard')
    servers = trial.figures('cluster', 'redis-server')
    for server in servers:
        print(f'  {waits_of(server)}')
    check({'each master has a part of the keys': len(keys) == 3 and min(keys) > 0 and sum(keys) > SETS - 50,
           'each wrote its figures': len(servers) == 3,
           'each was served by libstealth': all(server['peak_held'] > 20 * MIB for server in servers),
           'one that waited is among them': sum(server['waits']['count'] for server in servers) > 0},
          (keys, [waits_of(server) for server in servers]))
    empty = [panel for panel, rows in panels.items() if not rows]
    check({'each query of the dashboard is answered with data': not empty,
           'Prometheus has each master\'s capacity': {pid: capacities.get(pid) for pid in names} ==
           dict.fromkeys(names, float(CAPACITY)), 'and can be asked for the alerts': len(alerts) == 2}, empty)
    held = {labels['pid']: max(values) for labels, values in panels['Held and capacity', 'A']}
    waits = [max(values) for labels, values in panels['Waits', 'A']]
    fill = [max(values) for labels, values in panels['Fill', 'A']]
    check({'what is held is each one\'s': held.keys() == set(names) and min(held.values()) > 20 * MIB,
           'no more than each says at its end': max(held.values()) <= max(server['peak_held'] for server in servers),
           'waits per second are above nothing': max(waits) > 0,
           'the fill came near the capacity': 0.5 < max(fill) < 3,
           'classes by bytes are shown by size': all('size' in labels for labels, _ in panels['Bytes by class', 'A'])},
          (held, waits, fill))
    print('  held at most, by Prometheus: ' + ', '.join(mib(value) for value in held.values()))
