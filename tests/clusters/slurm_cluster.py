"""A Slurm cluster of two nodes on this machine: munged, slurmctld and two slurmd, without systemd and cgroups."""

import getpass
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

CONFIGURATION = """\
ClusterName=cratelm
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
ProctrackType=proctrack/pgid
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,sched_min_interval=0
ReturnToService=2
SlurmdTimeout=10
KillWait=2
MaxArraySize=5
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MailProg=/bin/true
NodeName=node1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2
NodeName=node2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2
PartitionName=cpu Nodes=ALL Default=YES MaxTime=60
"""
PROGRAMS = ("sbatch", "munged", "mungekey", "slurmctld", "slurmd")
SBIN = "/usr/sbin"


def is_installed() -> bool:
    """Whether this machine has Slurm: `apt-get install slurm-wlm`."""
    return all(_found(program) for program in PROGRAMS)


def _found(program: str) -> str | None:
    return shutil.which(program) or shutil.which(program, path=SBIN)


@dataclass
class SlurmCluster:
    """The cluster; Slurm's programs find it by SLURM_CONF."""

    folder: Path
    daemons: dict[str, subprocess.Popen] = field(default_factory=dict)

    @property
    def configuration(self) -> Path:
        return self.folder / "slurm.conf"

    def start(self, name: str, program: str, *arguments: str) -> None:
        """A daemon, in the foreground so that it can be ended by its own number."""
        log = (self.folder / f"{name}.log").open("a")
        command = [str(_found(program)), *arguments]
        self.daemons[name] = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)

    def start_node(self, name: str) -> None:
        self.start(name, "slurmd", "-D", "-f", str(self.configuration), "-N", name)

    def start_controller(self) -> None:
        self.start("slurmctld", "slurmctld", "-D", "-f", str(self.configuration))

    def end(self, name: str) -> None:
        """A daemon ends as it does when it is restarted."""
        self.daemons[name].terminate()
        self.daemons.pop(name).wait()

    def kill(self, name: str) -> None:
        """A daemon dies at once, as on a node that loses its power; what it runs is the caller's to end."""
        self.daemons[name].kill()
        self.daemons.pop(name).wait()

    def stop(self) -> None:
        for daemon in reversed(self.daemons.values()):
            daemon.terminate()
            daemon.wait()

    def wait_for_nodes(self) -> None:
        """Until both nodes are idle; an assertion fails, with what the daemons said, where they do not come."""
        for _ in range(120):
            if self.say("sinfo", "--noheader", "--format=%T %D").strip() == "idle 2":
                return
            time.sleep(0.25)
        raise AssertionError("\n".join(log.read_text()[-1000:] for log in self.folder.glob("*.log")))

    def say(self, *command: str) -> str:
        """What one of Slurm's programs prints."""
        environment = {"SLURM_CONF": str(self.configuration), "PATH": f"/usr/bin:/bin:{SBIN}"}
        return subprocess.run(command, env=environment, capture_output=True, text=True).stdout


@contextmanager
def slurm_cluster(folder: Path) -> Iterator[SlurmCluster]:
    """Start it, and end it with all that it runs. A socket's path is short: so should the folder's be."""
    cluster, munge = SlurmCluster(folder), folder / "munge"
    (folder / "state").mkdir()
    munge.mkdir(mode=0o700)
    settings = {"host": socket.gethostname().partition(".")[0], "user": getpass.getuser(), "folder": folder}
    cluster.configuration.write_text(CONFIGURATION.format(ports=_free_ports(3), **settings))
    subprocess.run([str(_found("mungekey")), "--create", f"--keyfile={munge / 'key'}"], check=True)
    files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    with ExitStack() as ending:
        ending.callback(cluster.stop)
        cluster.start(
            "munged", "munged", "--foreground", "--force", *(f"--{name}={munge / file}" for name, file in files.items())
        )
        while not (munge / "socket").exists():
            assert cluster.daemons["munged"].poll() is None, (folder / "munged.log").read_text()
            time.sleep(0.05)
        cluster.start_controller()
        for name in ("node1", "node2"):
            cluster.start_node(name)
        cluster.wait_for_nodes()
        ending.callback(cluster.say, "scancel", "--me")
        yield cluster


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
