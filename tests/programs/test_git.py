#!/usr/bin/python3
"""git: a history made by fast-import, then commits, a merge, diffs, a threaded repack, a clone, and the checks. With
fixed dates the object names are the contents' hashes, so equal output means equal objects."""
from harness import Trial, need

git = need('/usr/bin/git')
WHO = {f'GIT_{role}_{what}': value for role in ('AUTHOR', 'COMMITTER')
       for what, value in (('NAME', 'A U Thor'), ('EMAIL', 'author@example.com'), ('DATE', '1700000000 +0000'))}
ENV = WHO | {'GIT_CONFIG_NOSYSTEM': '1', 'GIT_CONFIG_GLOBAL': '/dev/null'}


def history():
    """A fast-import stream: 300 commits over 60 files of growing text."""
    out, files = [], {n: b'' for n in range(60)}
    for commit in range(300):
        out.append(b'commit refs/heads/main\ncommitter A <a@example.com> %d +0000\ndata 9\ncommit\n\n\n'
                   % (1600000000 + commit))
        for n in {commit % 60, commit * 7 % 60, commit * 13 % 60}:
            files[n] += b''.join(b'%d line %d of file %d\n' % (commit, i * i % 1009, n) for i in range(120))
            out.append(b'M 100644 inline dir%d/file%d\ndata %d\n%s\n' % (n % 7, n, len(files[n]), files[n]))
    return b''.join(out)


def one_side(side):
    def run(*args, input=b'', **options):
        return side.run([git, *args], env=ENV, input=input, **options)

    run('init', '-q', '-b', 'main', 'repo')
    run('-C', 'repo', 'fast-import', '--quiet', input=stream)
    run('-C', 'repo', 'checkout', '-q', 'main')
    run('-C', 'repo', 'log', '--stat', '-p', '-M', '--format=%H %s')
    run('-C', 'repo', 'blame', 'dir0/file0')
    run('-C', 'repo', 'grep', '-n', 'line 4[0-9]* of file 1')
    run('-C', 'repo', 'checkout', '-q', '-b', 'side', 'HEAD~100')
    (side.dir / 'repo/new').write_text('something\n' * 10000)
    run('-C', 'repo', 'add', 'new')
    run('-C', 'repo', 'commit', '-q', '-m', 'on the side')
    run('-C', 'repo', 'merge', '-q', '--no-edit', 'main')
    run('-C', 'repo', '-c', 'pack.threads=2', 'repack', '-q', '-a', '-d', '-f', '--window=20')
    run('-C', 'repo', 'fsck', '--strict', '--no-progress')
    run('clone', '-q', '--no-local', 'repo', 'copy')
    run('-C', 'copy', 'rev-list', '--objects', 'HEAD')
    run('-C', 'copy', 'archive', '--format=tar', 'HEAD')


stream = history()
with Trial() as trial:
    for side in trial.sides():
        one_side(side)
    trial.same_output()
    trial.served('git', peak='10m', at_least=15)
