"""A Slurm of its own: slurmctld, munged and nodes that are namespaces of one machine, each with a network, a host name, processes and a
/dev/shm of its own. So a node can die as machines do: everything on it at once, its shared memory too.

Needs root, in a network and a mount namespace that the caller has made (`unshare --net --mount`): nothing of it is seen outside.
"""
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "munged", "ip", "nsenter", "unshare")
KILL_WAIT = 20  # seconds between the SIGTERM and the SIGKILL of scancel

CONF = """ClusterName=peaknet
SlurmctldHost={host}(10.78.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={work}/munge/socket
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
StateSaveLocation={work}/state
SlurmctldPidFile={work}/slurmctld.pid
SlurmctldLogFile={work}/slurmctld.log
SlurmdSpoolDir={work}/spool_%n
SlurmdPidFile={work}/slurmd_%n.pid
SlurmdLogFile={work}/slurmd_%n.log
SelectType=select/linear
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=1
ReturnToService=2
SlurmdTimeout=8
MessageTimeout=4
InactiveLimit=0
KillWait={kill_wait}
MinJobAge=600
SlurmdParameters=config_overrides
PropagateResourceLimits=NONE
{nodes}
PartitionName=p Nodes=ALL Default=YES MaxTime=30 State=UP OverSubscribe=EXCLUSIVE
"""


def missing():
    """The first program that is not here, or None."""
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    return next((program for program in PROGRAMS if not shutil.which(program, path=path)), None)


def until(what, condition, seconds=90.0):
    end = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come within {seconds} s")
        time.sleep(0.1)
    return found


class Node:
    """Lives as long as its first process does, which is process 1 of its namespace."""

    def __init__(self, cluster, number):
        self.name, self.address = f"n{number}", f"10.78.0.{10 + number}"
        self._cluster, self._cord = cluster, f"to{number}"
        self.start()

    def start(self):
        """As a machine that is switched on: an empty /dev/shm and /tmp, the same name and address."""
        boot = f"hostname {self.name} && mount -t tmpfs none /dev/shm && mount -t tmpfs none /run && touch /run/up; while :; do sleep 1000 & wait; done"
        with open(self._cluster.work / f"{self.name}.out", "ab") as log:
            self._outside = subprocess.Popen(["unshare", "--net", "--uts", "--mount", "--ipc", "--pid", "--fork", "--mount-proc", "sh", "-c", boot],
                                             stdout=log, stderr=log, env=self._cluster.environment)
        children = Path(f"/proc/{self._outside.pid}/task/{self._outside.pid}/children")
        self._first = int(until(f"the first process of {self.name}", lambda: children.read_text().split())[0])
        until("its memory", lambda: os.path.exists(f"/proc/{self._first}/root/run/up"))
        # The cord of the node's last life goes with its network, a moment later.
        until("the end of the old cord", lambda: subprocess.run(["ip", "link", "show", self._cord], capture_output=True).returncode != 0)
        subprocess.run(["ip", "link", "add", self._cord, "type", "veth", "peer", "name", "eth0", "netns", str(self._first)], check=True)
        subprocess.run(["ip", "link", "set", self._cord, "master", "switch", "up"], check=True)
        for setting in ("link set lo up", "link set eth0 up", f"addr add {self.address}/24 dev eth0"):
            self.run("ip", *setting.split(), check=True)
        # Little room in the kernel: what is on its way to a node is then mostly what ZeroMQ and the feed hold.
        self.run("sh", "-c", "echo 4096 32768 32768 > /proc/sys/net/ipv4/tcp_rmem", check=True)
        self.start_slurmd()

    def start_slurmd(self):
        """slurmd leaves its caller's processes by itself."""
        self.run("slurmd", "-N", self.name, check=True, env=self._cluster.environment)

    def run(self, *command, **how):
        return subprocess.run(["nsenter", "--target", str(self._first), "--all", *command], **how)

    def kill_programs(self):
        """Every process is gone, slurmd too; the machine and its shared memory stay."""
        self.run("kill", "-KILL", "-1")

    def kill(self):
        """The machine is gone: no process of it lives, and its memory is nobody's."""
        os.kill(self._first, signal.SIGKILL)
        self._outside.wait()

    def shared_memory(self):
        return [name for name in os.listdir(f"/proc/{self._first}/root/dev/shm") if name.startswith("peaknet")]

    def processes(self):
        """The programs of this project that run there."""
        seen = self.run("ps", "-e", "-o", "comm=", capture_output=True, text=True).stdout.split()
        return [name for name in seen if name.startswith("peaknet")]


class Cluster:
    def __init__(self, work, nodes=3):
        self.work = Path(work)
        self.environment = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin", "SLURM_CONF": f"{work}/slurm.conf"}
        os.environ.update(self.environment)
        self._daemons = []
        self.nodes = []
        host = os.uname().nodename.split(".")[0]
        (self.work / "slurm.conf").write_text(CONF.format(
            host=host, work=work, kill_wait=KILL_WAIT,
            nodes="\n".join(f"NodeName=n{i} NodeAddr=10.78.0.{10 + i} CPUs=4 State=UNKNOWN" for i in range(1, nodes + 1))))
        (self.work / "hosts").write_text("127.0.0.1 localhost\n10.78.0.1 " + host + "\n" +
                                         "".join(f"10.78.0.{10 + i} n{i}\n" for i in range(1, nodes + 1)))
        subprocess.run(["mount", "--bind", self.work / "hosts", "/etc/hosts"], check=True)
        for setting in ("link set lo up", "link add switch type bridge", "addr add 10.78.0.1/24 dev switch", "link set switch up"):
            subprocess.run(["ip", *setting.split()], check=True)
        (self.work / "state").mkdir()
        self._start_munge()
        self._daemon("slurmctld", "-D", "-c")
        self.nodes = [Node(self, i) for i in range(1, nodes + 1)]
        self.until_idle()

    def until_idle(self):
        until("idle nodes", lambda: self.ask("sinfo", "-h", "-o", "%T %D").split() == ["idle", str(len(self.nodes))])

    def _start_munge(self):
        folder = self.work / "munge"
        folder.mkdir(mode=0o755)
        (folder / "key").write_bytes(os.urandom(1024))
        (folder / "key").chmod(0o400)
        self._daemon("munged", "--foreground", "--force", f"--socket={folder}/socket", f"--key-file={folder}/key", f"--pid-file={folder}/pid",
                     f"--log-file={folder}/log", f"--seed-file={folder}/seed")
        until("munged", (folder / "socket").exists)

    def _daemon(self, *command):
        with open(self.work / f"{command[0]}.out", "ab") as log:
            self._daemons.append(subprocess.Popen(command, stdout=log, stderr=log, env=self.environment))

    def ask(self, *command):
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment)
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(map(str, command))} ends with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def submit(self, *arguments, **environment):
        """Returns the job's number."""
        done = subprocess.run(["sbatch", "--parsable", *map(str, arguments)], capture_output=True, text=True,
                              env={**self.environment, **environment}, cwd=self.work)
        if done.returncode != 0:
            raise AssertionError(f"sbatch ends with {done.returncode}: {done.stderr}")
        return done.stdout.strip()

    def state(self, job):
        return dict(pair.split("=", 1) for pair in self.ask("scontrol", "-o", "show", "job", job).split(" ") if "=" in pair)

    @staticmethod
    def quiet(number):
        """Is it the same a second later?"""
        before = number()
        time.sleep(1)
        return number() == before

    def close(self):
        for node in self.nodes:
            try:
                node.kill()
            except ProcessLookupError:
                pass
        for daemon in reversed(self._daemons):
            daemon.kill()
            daemon.wait()
        subprocess.run(["ip", "link", "del", "switch"], check=True)
        subprocess.run(["umount", "/etc/hosts"], check=True)
