"""A Slurm of the test's own: munged, slurmctld and slurmd with a temporary key and configuration, one node of four
processors (as the configuration says), on the address of this machine's own name, which is loopback on Debian. Accounting,
limits and the machine's own Slurm are left out. `side` ends the daemons whatever happens."""
import contextlib
import os
import pwd
import re
import signal
import socket

from fleet import answers, free_port, need, until

CONFIGURATION = '''ClusterName=fleet
SlurmctldHost={node}({address})
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={controller}
AuthType=auth/munge
AuthInfo=socket={home}/munge.socket
CredType=cred/munge
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/spool
SlurmctldPidFile={home}/slurmctld.pid
SlurmdPidFile={home}/slurmd.pid
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SchedulerType=sched/builtin
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
SlurmdParameters=config_overrides
NodeName={node} NodeAddr={address} Port={port} CPUs=4 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=5 State=UP
'''


class Slurm:
    def __init__(self, side):
        self.side, self.home = side, side.dir / 'slurm'
        for name in ('', 'state', 'spool'):
            (self.home / name).mkdir(mode=0o755)
        key, link, configuration = (self.home / name for name in ('key', 'munge.socket', 'slurm.conf'))
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(1024))
        node = socket.gethostname().split('.')[0]
        address, controller, port = socket.gethostbyname(node), free_port(), free_port()
        configuration.write_text(CONFIGURATION.format(node=node, address=address, controller=controller, port=port,
                                                      home=self.home, user=pwd.getpwuid(os.geteuid()).pw_name))
        self.env = {'SLURM_CONF': str(configuration)}
        self.daemons = [side.serve(
            [need('/usr/sbin/munged'), '--foreground', '--force', f'--socket={link}', f'--key-file={key}',
             f'--pid-file={self.home}/munge.pid', f'--seed-file={self.home}/munge.seed'], link.is_socket)]
        for program, number in (('slurmctld', controller), ('slurmd', port)):
            self.daemons.append(side.serve([need(f'/usr/sbin/{program}'), '-D', '-f', configuration],
                                           lambda number=number: answers(number, address), env=self.env))
        until(lambda: self.ask('sinfo', '--noheader', '--format=%t').strip() == 'idle', 'an idle node')

    def ask(self, program, *words):
        return self.side.run([need(f'/usr/bin/{program}'), *words], env=self.env, record=False).decode()

    def submit(self, script, *words):
        """The number of the job."""
        file = self.home / 'job.sh'
        file.write_text(script)
        return self.ask('sbatch', '--parsable', f'--chdir={self.home}', *words, file).strip()

    def ended(self, job):
        return not self.ask('squeue', '--noheader', f'--jobs={job}').strip()

    def states(self, job):
        """[(state, exit status)] of each task of an array."""
        shown = self.ask('scontrol', 'show', 'job', '--oneliner', job)
        return re.findall(r'JobState=(\S+) .*?ExitCode=(\S+)', shown)

    def end_job(self, job):
        """If it still runs, as after a failure: while there is a slurmd to end it, and steps that can tell it so."""
        with contextlib.suppress(SystemExit):
            if not self.ended(job):
                self.ask('scancel', job)
                until(lambda: self.ended(job), 'the end of a job that was cancelled')

    def stop(self):
        for daemon in reversed(self.daemons):
            daemon.stop(lambda daemon=daemon: daemon.process.send_signal(signal.SIGTERM))
