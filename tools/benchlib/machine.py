"""What machine this is, and how much of it was kept busy by others while the bench ran."""
import os
import pathlib
import platform
import resource
import time


def _line(path, start=''):
    try:
        for text in pathlib.Path(path).read_text(encoding='utf-8').splitlines():
            if text.startswith(start):
                return text[len(start):].strip(' \t:')
    except OSError:
        pass
    return ''


def describe():
    return {'processor': _line('/proc/cpuinfo', 'model name'), 'processors': os.cpu_count(),
            'memory': _line('/proc/meminfo', 'MemTotal'), 'kernel': platform.release(),
            'huge_pages': _line('/sys/kernel/mm/transparent_hugepage/enabled')}


def _all_seconds():
    """What all processors have worked since boot, time stolen by a hypervisor included."""
    words = _line('/proc/stat', 'cpu ').split()
    user, nice, system, _idle, _wait, irq, softirq, stolen = (int(word) for word in words[:8])
    return (user + nice + system + irq + softirq + stolen) / os.sysconf('SC_CLK_TCK')


def _own_seconds():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


class Watch:
    """From its making to figures(): the time, and the share of the processors that was not spent on the bench."""

    def __init__(self):
        self.began, self.all, self.own = time.monotonic(), _all_seconds(), _own_seconds()

    def figures(self):
        elapsed = time.monotonic() - self.began
        others = _all_seconds() - self.all - (_own_seconds() - self.own)
        return {'seconds': elapsed, 'busy_with_others': max(0.0, others / elapsed / os.cpu_count())}
