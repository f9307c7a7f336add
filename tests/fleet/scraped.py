"""A Prometheus of the test's own, on loopback, that scrapes what `stealth stat --format prometheus --output FILE` writes,
from an HTTP server in this process; and questions to its API, as Grafana asks them for a dashboard."""
import contextlib
import http.server
import json
import pathlib
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

from fleet import ROOT, fail, free_port, need, stealth

INTERVAL = 1  # seconds between two scrapes
RATE = '15s'  # what Grafana makes of $__rate_interval for such a source, or more


class Exporter:
    """Writes the file anew all the time, as the cron job of the manual does, and serves it."""

    def __init__(self, directory):
        self.file = pathlib.Path(directory) / 'stealth.prom'
        self.ended, self.failed = threading.Event(), None
        exporter = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                text = exporter.file.read_bytes()
                self.send_response(200)
                self.send_header('Content-Type', 'text/plain; version=0.0.4')
                self.send_header('Content-Length', str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        self.write()
        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.port = self.server.server_address[1]
        self.threads = [threading.Thread(target=work, daemon=True) for work in (self.server.serve_forever, self.renew)]

    def write(self):
        done = stealth('stat', '--format', 'prometheus', '--output', self.file)
        if done.returncode != 0:
            self.failed = done.stderr

    def renew(self):
        while not self.ended.wait(INTERVAL / 2):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.write()

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()
        for thread in self.threads:
            thread.join()


class Prometheus:
    def __init__(self, side, target):
        """Served by `side`, which ends it whatever happens; `target` is the port that it scrapes."""
        self.port, self.begin = free_port(), time.time()
        data, config = side.dir / 'prometheus', side.dir / 'prometheus.yml'
        # JSON is YAML.
        config.write_text(json.dumps({'global': {'scrape_interval': f'{INTERVAL}s'}, 'scrape_configs': [
            {'job_name': 'stealth', 'static_configs': [{'targets': [f'127.0.0.1:{target}']}]}]}))
        self.server = side.serve([need('/usr/bin/prometheus'), f'--config.file={config}', f'--storage.tsdb.path={data}',
                                  f'--web.listen-address=127.0.0.1:{self.port}', '--log.level=warn'], self.ready)

    def ready(self):
        with contextlib.suppress(OSError):
            with urllib.request.urlopen(f'http://127.0.0.1:{self.port}/-/ready', timeout=5) as answer:
                return answer.status == 200
        return False

    def ask(self, path, **parameters):
        """What the API answers."""
        url = f'http://127.0.0.1:{self.port}/api/v1/{path}?' + urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)['data']
        except urllib.error.HTTPError as error:
            return fail(f'Prometheus refuses {path} {parameters}: {error.read().decode(errors="replace")}')

    def now(self, expression):
        """[(labels, value)]"""
        return [(one['metric'], float(one['value'][1])) for one in self.ask('query', query=expression)['result']]

    def history(self, expression):
        """[(labels, [value])] since the start, a value for each second that there is one; those that are no numbers, as
        of a rate of nothing, left out."""
        rows = self.ask('query_range', query=expression, start=self.begin, end=time.time(), step=1)['result']
        numbers = [(row['metric'], [float(value) for _, value in row['values'] if value != 'NaN']) for row in rows]
        return [(labels, values) for labels, values in numbers if values]

    def stop(self):
        self.server.stop(self.server.process.terminate)


class Dashboard:
    """docs/grafana-dashboard.json as Grafana would ask for it: its variables by their own queries, then its panels."""

    def __init__(self, prometheus, **chosen):
        """`chosen`: what is picked of a variable's values; all of them otherwise."""
        self.prometheus, self.values = prometheus, {'__rate_interval': RATE}
        self.source = json.loads((ROOT / 'docs/grafana-dashboard.json').read_text())
        for variable in self.source['templating']['list']:
            name = variable['name']
            series, label = self.filled(variable['query']['query']).removeprefix('label_values(')[:-1].rsplit(',', 1)
            found = prometheus.ask(f'label/{label.strip()}/values', **{'match[]': series})
            picked = chosen.get(name, found)
            if not found or not set(picked) <= set(found):
                fail(f'the variable {name} offers {found}, not {picked}')
            self.values[name] = '|'.join(value.replace('.', r'\\.') for value in picked)

    def filled(self, text):
        for name, value in self.values.items():
            text = text.replace(f'${name}', value)
        return text

    def panels(self):
        """{(title, letter): [(labels, values)]}"""
        return {(panel['title'], target['refId']): self.prometheus.history(self.filled(target['expr']))
                for panel in self.source['panels'] for target in panel['targets']}
