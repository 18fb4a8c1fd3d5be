# SPDX-License-Identifier: Apache-2.0
"""The same archive over several hosts: GNU parallel through real sshd processes, and a job array on a real slurmctld and
slurmd, with workers that are killed on the way. The merged answers are those of one process. Where a part cannot run the
reason is printed and it counts as skipped, not as passed."""
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from librun import ASK, archive, entries, outputs, run  # noqa: E402

EXAMPLES = HERE.parent.parent / "man" / "examples"
USER = pwd.getpwuid(os.getuid()).pw_name
QUESTION = [*ASK]


class Skip(Exception):
    pass


def need(*programs):
    missing = [p for p in programs if not shutil.which(p)]
    if missing:
        raise Skip(f"no {', '.join(missing)} here")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(what, seconds=40):
    until = time.monotonic() + seconds
    while not (value := what()):
        if time.monotonic() > until:
            return None
        time.sleep(0.1)
    return value


def runs_below(out):
    """Processes of dsvl run that work on this folder."""
    found = []
    for p in Path("/proc").iterdir():
        try:
            words = (p / "cmdline").read_bytes().split(b"\0") if p.name.isdigit() else []
            if words and os.readlink(p / "cwd") != os.getcwd():
                continue
        except OSError:
            continue
        if len(words) > 3 and words[0].endswith(b"dsvl") and words[1] == b"run" and str(out).encode() in words and b"--shard" in words:
            found.append(int(p.name))
    return found


def kill_a_worker(out, after):
    """SIGKILL to one of them as soon as there is something in the cache."""
    if not wait_for(lambda: len(entries(out)) >= after and runs_below(out), 120):
        return False
    try:
        os.kill(runs_below(out)[0], signal.SIGKILL)
    except (ProcessLookupError, IndexError):
        return False
    return True


def make_archive(folder):
    names = archive(folder, pictures=10, reports=2)
    (folder / "list").write_text("\n".join(names) + "\n")
    run(folder, "one", "--files-from", "list", "--merge", "one.jsonl", ask=QUESTION)
    return names


def test_parallel(folder):
    need("parallel", "ssh", "ssh-keygen")
    sshd = shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin")
    if not sshd:
        raise Skip("no sshd here")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    make_archive(folder)
    for key in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
    servers, hosts = [], ""
    try:
        for n in range(2):
            port = free_port()
            (folder / f"sshd{n}").write_text(
                f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\n"
                f"StrictModes no\nUsePAM no\nPasswordAuthentication no\nPidFile none\nPermitRootLogin yes\nMaxStartups 50\n")
            servers.append(subprocess.Popen([sshd, "-D", "-e", "-f", folder / f"sshd{n}"], stderr=open(folder / f"sshd{n}.log", "w")))
            hosts += (f"1/ssh -i {folder}/user -p {port} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "
                      f"-o LogLevel=ERROR {USER}@127.0.0.1\n")
            login = hosts.splitlines()[-1].split("/", 1)[1].split()
            if not wait_for(lambda: subprocess.run([*login, "true"], capture_output=True).returncode == 0, 20):
                raise Skip(f"sshd does not let us in: {(folder / f'sshd{n}.log').read_text()}")
        (folder / "hosts").write_text(hosts)
        work = subprocess.Popen([EXAMPLES / "dsvl-hosts", "hosts", "4", "out", "list", *QUESTION], cwd=folder,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, "HOME": str(folder)})
        killed = kill_a_worker("out", 2)
        said = work.communicate()[0].decode()
        assert work.returncode == 0, said
        assert (folder / "out" / "merged.jsonl").read_bytes() == (folder / "one.jsonl").read_bytes(), said
        log = (folder / "out" / "joblog").read_text().splitlines()[1:]
        used = {line.split("\t")[1] for line in log}
        assert len(used) == 2, log
        assert killed, said
    finally:
        for s in servers:
            s.terminate()
            s.wait()
    return f"4 shards on {len(used)} sshd, a worker killed, merged equal"


SLURM = """ClusterName=dsvl
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmctldPort={port1}
SlurmdPort={port2}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/ctld.pid
SlurmdPidFile={folder}/d.pid
SlurmctldLogFile={folder}/ctld.log
SlurmdLogFile={folder}/d.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerType=sched/builtin
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
MinJobAge=300
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
"""


def test_slurm(folder):
    path = os.environ["PATH"] + ":/usr/sbin"
    need("sbatch", "squeue", "scontrol")
    daemons = {name: shutil.which(name, path=path) for name in ("munged", "slurmctld", "slurmd")}
    if None in daemons.values():
        raise Skip(f"no {', '.join(k for k, v in daemons.items() if not v)} here")
    if os.getuid():
        raise Skip("slurmd starts jobs as their users, so this part runs as root only")
    make_archive(folder)
    host = socket.gethostname().split(".")[0]
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    conf = folder / "slurm.conf"
    conf.write_text(SLURM.format(host=host, user=USER, folder=folder, port1=free_port(), port2=free_port(), cpus=os.cpu_count()))
    (folder / "cgroup.conf").write_text("CgroupPlugin=autodetect\n")
    environment = {**os.environ, "SLURM_CONF": str(conf)}
    running = []

    def start(*command):
        running.append(subprocess.Popen(command, stdout=open(folder / "daemons.log", "a"), stderr=subprocess.STDOUT,
                                        env=environment))

    def slurm(*command):
        r = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
        return r.stdout if r.returncode == 0 else ""

    def logs():
        return "\n".join(p.read_text(errors="replace")[-1500:] for p in (folder / "daemons.log", folder / "ctld.log", folder / "d.log")
                         if p.exists())
    try:
        # --force: what it fears is the mode of a temporary folder's parents.
        start(daemons["munged"], "--foreground", "--force", f"--key-file={key}", f"--socket={folder}/munge.socket",
              f"--pid-file={folder}/munge.pid", f"--log-file={folder}/munge.log", f"--seed-file={folder}/munge.seed")
        if not wait_for(lambda: (folder / "munge.socket").exists(), 10):
            raise Skip(f"munged does not start: {logs()}")
        start(daemons["slurmctld"], "-D", "-f", str(conf))
        start(daemons["slurmd"], "-D", "-f", str(conf), "-N", host)
        if not wait_for(lambda: "idle" in slurm("sinfo", "-h", "-o", "%T"), 40):
            raise Skip(f"slurmctld and slurmd do not come up in this container: {logs()}")
        for turn in range(2):  # the second array takes up what the killed worker left
            job = slurm("sbatch", "--parsable", "--array=1-4", "--output", str(folder / f"%a-{turn}.log"),
                        str(EXAMPLES / "dsvl-array.sbatch"), "out", "list", *QUESTION).strip()
            assert job, logs()
            if turn == 0:
                assert kill_a_worker("out", 2), logs()
            assert wait_for(lambda: not slurm("squeue", "-h", "-o", "%i").strip(), 200) is not None, logs()
            ended = slurm("scontrol", "-o", "show", "job", job)
            assert ended.count("JobState=FAILED") == (turn == 0) and ended.count("JobState=COMPLETED") == 4 - (turn == 0), ended
        run(folder, "out", "--files-from", "list", "--merge", "merged.jsonl", ask=QUESTION)
        assert (folder / "merged.jsonl").read_bytes() == (folder / "one.jsonl").read_bytes()
        assert outputs(folder / "out") == outputs(folder / "one")
    finally:
        for p in reversed(running):
            p.terminate()
            try:
                p.wait(10)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
    return "an array of 4 tasks, a worker killed, the array submitted again, merged equal"


if __name__ == "__main__":
    for test_name, test in list(globals().items()):
        if test_name.startswith("test_"):
            with tempfile.TemporaryDirectory() as place:
                home = Path.cwd()
                os.chdir(place)
                try:
                    print(f"{test_name}: {test(Path(place))}")
                except Skip as reason:
                    print(f"SKIP {test_name}: {reason}")
                os.chdir(home)
