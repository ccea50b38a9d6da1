"""natctl beside a running pair: what it says, on both routers."""
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import threading
import time
import urllib.request

from lib.scenario import Lab
from lib.wait import TestFailed, require, wait_until


def promtool(text):
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=30)
    require(done.returncode == 0, f"promtool refuses the metrics: {done.stdout}{done.stderr}")


def check_metrics(router):
    text = router.natctl("metrics").stdout
    promtool(text)
    for line in ("steadynat_failover_ready 1", 'steadynat_up{daemon="syncd"} 1',
                 'steadynat_group_state{group="MAIN-GW"} 2'):
        require(line in text.splitlines(), f"the metrics lack '{line}'")
    path = os.path.join(router.run_dir, "steadynat.prom")
    router.natctl("metrics", "--textfile", path)
    require(os.stat(path).st_mode & 0o777 == 0o644, "the textfile cannot be read by others")
    with open(path, encoding="utf-8") as file:
        promtool(file.read())
    for address in ("10.10.0.102:9781", "0.0.0.0:9781", "127.0.0.1", "localhost:9781"):
        refused = router.natctl("metrics", "--listen", address, check=False)
        require(refused.returncode == 2 and "loopback" in refused.stderr, f"--listen {address} is not refused")
    server = subprocess.Popen(router._command("natctl") + ["metrics", "--listen", "127.0.0.1:9781"] + router.options(),
                              preexec_fn=router.namespace.enter)
    try:
        def scrape():
            answer = []

            def get():
                router.namespace.enter()  # this thread alone, which then ends
                try:
                    with urllib.request.urlopen("http://127.0.0.1:9781/metrics", timeout=5) as page:
                        answer.append((page.headers["Content-Type"], page.read().decode()))
                except OSError:
                    pass

            thread = threading.Thread(target=get)
            thread.start()
            thread.join()
            return answer

        kind, text = wait_until(scrape, 30, "the listener answers")[0]
        require(kind.startswith("text/plain; version=0.0.4"), f"Content-Type {kind}")
        promtool(text)
    finally:
        server.terminate()
        server.wait()


def fault_of_status(router, other, states):
    """What is not as it should be on the screen of a pair that is well; empty when all is."""
    text = router.natctl("status", check=False).stdout
    lines = text.splitlines()
    if not lines or lines[0] != f"{router.name}  ready to fail over":
        return f"the first line: {text}"
    own = [line for line in lines if line.startswith("MAIN-GW") and " on " not in line]
    peer = [line for line in lines if line.startswith("MAIN-GW") and f" on {other} " in line]
    if not own or states[0] not in own[0]:
        return f"the own group: {text}"
    if not peer or states[1] not in peer[0] or "has all connections" not in peer[0]:
        return f"the other router: {text}"
    return f"wider than 120 columns: {text}" if max(map(len, lines)) > 120 else ""


def check_status(first, second):
    for router, other, states in ((first, "R2", ("MASTER", "BACKUP")), (second, "R1", ("BACKUP", "MASTER"))):
        try:
            wait_until(lambda: not fault_of_status(router, other, states), 30, "both routers on one screen")
        except TestFailed as failed:
            raise TestFailed(f"{failed}; {fault_of_status(router, other, states)}") from failed


def check_table_sizes(first, second):
    """Each router knows how large the kernel's table is on the other one."""
    def tables(router):
        sync = json.loads(router.natctl("status", "--json", check=False).stdout)["sync"]
        return [table and (table["max"], table["buckets"]) for table in (sync["table"], sync["peer_table"])]

    expected = []
    for name in ("max", "buckets"):
        with open(f"/proc/sys/net/netfilter/nf_conntrack_{name}", encoding="utf-8") as file:
            expected.append(int(file.read()))
    wait_until(lambda: all(tables(router) == [tuple(expected)] * 2 for router in (first, second)), 30,
               f"both know that both tables are {expected}")


def check_config(lab, router):
    said = router.natctl("config", "diff").stdout
    require(said.startswith("the other router runs with the same file"), f"config diff says {said}")
    other = os.path.join(lab.directory, "other.yaml")
    with open(lab.config, encoding="utf-8") as file:
        text = file.read()
    with open(other, "w", encoding="utf-8") as file:
        file.write(text.replace("fully-random", "random"))
    done = router.natctl("config", "diff", other, check=False)
    require(done.returncode == 1, f"two files that differ: exit code {done.returncode}")
    expected = "- nat.source.10.port_mapping: fully-random\n+ nat.source.10.port_mapping: random\n"
    require(expected in done.stdout, f"the difference: {done.stdout}")
    dump = json.loads(router.natctl("config", "dump", "--json").stdout)
    require(dump["vrrp"]["groups"]["MAIN-GW"]["gate_timeout"] == "5s", "a default is missing in the dump")
    return other


def check_peer_diff(lab, first, second):
    """The lines of the other router's file, while its syncd runs with another one."""
    kept = os.path.join(lab.directory, "kept.yaml")
    with open(lab.config, encoding="utf-8") as file:
        text = file.read()
    for path, content in ((kept, text), (lab.config, text.replace("fully-random", "random"))):
        with open(path, "w", encoding="utf-8") as file:
            file.write(content)
    second.daemons["syncd"].signal(signal.SIGHUP)
    options = first.options()
    options[options.index("--config") + 1] = kept
    command = first._command("natctl") + ["config", "diff"] + options
    expected = ("the other router runs with another file (-: here, +: there)\n"
                "- nat.source.10.port_mapping: fully-random\n+ nat.source.10.port_mapping: random\n")
    try:
        wait_until(lambda: first.namespace.run(command, check=False).stdout == expected, 30, "the peer's lines")
    except TestFailed as failed:
        raise TestFailed(f"{failed}: {first.namespace.run(command, check=False).stdout}") from failed
    said = first.natctl("config", "diff", check=False)
    require(said.returncode == 1 and "the files are the same by now" in said.stdout, f"the file is the same: {said}")
    with open(lab.config, "w", encoding="utf-8") as file:
        file.write(text)
    second.daemons["syncd"].signal(signal.SIGHUP)
    wait_until(lambda: "runs with the same file" in first.natctl("config", "diff", check=False).stdout, 30,
               "the same file again")


def complete(script, line):
    """What bash would offer."""
    words = line.split(" ")
    program = (f"{script}\nCOMP_WORDS=({' '.join(repr(w) for w in words)}); COMP_CWORD={len(words) - 1}; _natctl; "
               'printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, timeout=10)
    require(not done.stderr, f"the completion script: {done.stderr}")
    return done.stdout.split()


def check_completion(router):
    script = router.natctl("completion", "bash").stdout
    for line, expected in (("natctl sh", ["show"]), ("natctl show v", ["vrrp"]),
                           ("natctl --node show sync ver", ["verify"]),
                           ("natctl switchover --f", ["--force"]), ("natctl nonsense ", [])):
        found = complete(script, line)
        require(found == expected, f"completion of '{line}': {found}")


def check_nat(router, other):
    """What would change in the table, by the kernel's own listing."""
    same = router.natctl("nat", "check").stdout
    require("nothing would change" in same, f"nat check of what is in force: {same}")
    options = router.options()
    options[options.index("--config") + 1] = other
    done = router.namespace.run(router._command("natctl") + ["nat", "check"] + options, check=False)
    require(done.returncode == 0, f"nat check: {done.stderr}")
    removed = [line for line in done.stdout.splitlines() if line.startswith("-")]
    added = [line for line in done.stdout.splitlines() if line.startswith("+")]
    require(len(removed) == len(added) == 1 and "fully-random" in removed[0] and " random" in added[0],
            f"nat check shows {done.stdout}")


MONITORING = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../examples/monitoring")


def check_monitoring(text):
    """The alerts fire when they should, and dashboard and alerts speak of metrics that there are."""
    for command in (["check", "rules", "steadynat.rules.yaml"], ["test", "rules", "steadynat.rules.test.yaml"]):
        done = subprocess.run(["promtool", *command], cwd=MONITORING, capture_output=True, text=True, timeout=60)
        require(done.returncode == 0, f"promtool {command[0]} rules: {done.stdout}{done.stderr}")
    known = set(re.findall(r"^# TYPE (\w+)", text, re.M)) | {"steadynat_vrrp_receive_errors_total"}  # none so far
    for name in ("steadynat.rules.yaml", "grafana-dashboard.json"):
        with open(os.path.join(MONITORING, name), encoding="utf-8") as file:
            content = file.read()
        json.loads(content) if name.endswith(".json") else None
        unknown = set(re.findall(r"\bsteadynat_\w+", content)) - known
        require(not unknown, f"{name} speaks of metrics that there are not: {sorted(unknown)}")


def check_doctor(router, second):
    """A router that is well but for what the laboratory leaves out; then something is broken."""
    healthy = json.loads(router.natctl("doctor", "--json", check=False).stdout)["findings"]
    errors = [each for each in healthy if each["severity"] == "error"]
    require(not errors, f"the doctor finds errors in a healthy router: {errors}")
    router.namespace.sysctl("net.ipv4.ip_forward", 0)
    require("what R2 is like" not in str(healthy), f"the other router shows nothing: {healthy}")
    second.namespace.sysctl("net.netfilter.nf_conntrack_tcp_loose", 0)
    found = router.natctl("doctor", check=False).stdout
    require("nf_conntrack_tcp_loose is 1 here and 0 on R2" in found, f"what differs between the two: {found}")
    second.namespace.sysctl("net.netfilter.nf_conntrack_tcp_loose", 1)
    done = router.natctl("doctor", check=False)
    require(done.returncode == 1 and "net.ipv4.ip_forward is 0" in done.stdout, f"forwarding off: {done.stdout}")
    require("sysctl -w net.ipv4.ip_forward=1" in done.stdout, f"no remedy: {done.stdout}")
    router.namespace.sysctl("net.ipv4.ip_forward", 1)


def flows_of_conntrack(router, *words):
    text = router.namespace.run(["conntrack", "-L", *words]).stdout
    return sorted(re.sub(r"^(\S+ +\d+) \d+", r"\1 T", line) for line in text.splitlines())


def check_kernel_connections(router):
    """The kernel's own table, as conntrack(8) lists it, and words that narrow it."""
    for protocol, source, port in (("udp", "192.0.2.10", 40001), ("udp", "192.0.2.11", 40002),
                                   ("tcp", "192.0.2.10", 40003)):
        state = ["--state", "ESTABLISHED"] if protocol == "tcp" else []
        router.namespace.run(["conntrack", "-I", "-p", protocol, "-s", source, "-d", "198.51.100.1", "--sport",
                              str(port), "--dport", "53", "--timeout", "600", "-u", "ASSURED", *state])
    for words, ours in ((["-s", "192.0.2.10"], ["192.0.2.10"]), (["-p", "udp", "--dport", "53"], ["udp", "53"]),
                        (["-p", "tcp", "--sport", "40003"], ["40003", "198.51.100.0/24"])):
        text = router.natctl("show", "connections", "--kernel", *ours).stdout
        found = sorted(re.sub(r"^(\S+ +\d+ \S+ +\d+) \d+", r"\1 T", line) for line in text.splitlines())
        # conntrack leaves the family out.
        found = [re.sub(r"^ipv4 +2 ", "", line) for line in found]
        require(found == flows_of_conntrack(router, *words) and found,
                f"show connections --kernel {ours}: {found}, conntrack: {flows_of_conntrack(router, *words)}")
    listed = json.loads(router.natctl("show", "connections", "--kernel", "192.0.2.0/24", "--json").stdout)
    require(len(listed["connections"]) == 3, f"as JSON: {listed}")
    require(router.natctl("show", "connections", "--kernel", "192.0.2.99").stdout == "none\n", "nothing is not none")
    refused = router.natctl("show", "connections", "--kernel", "own", check=False)
    require(refused.returncode == 2 and "without --kernel" in refused.stderr, f"own: {refused.stderr}")
    refused = router.natctl("show", "connections", "1.2.3.4/40", check=False)
    require(refused.returncode == 2 and "is no protocol" in refused.stderr, f"no prefix: {refused}")


def check_narrow(router):
    """On a terminal the lines of a list are as wide as it is, and hold the same words."""
    whole = router.natctl("show", "connections", "--kernel").stdout
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    command = router._command("natctl") + ["show", "connections", "--kernel", "192.0.2.0/24"] + router.options()
    shown = subprocess.Popen(command, stdout=slave, preexec_fn=router.namespace.enter)
    require(shown.wait(30) == 0, "show connections on a terminal")
    os.close(slave)
    text = ""
    while select.select([master], [], [], 0)[0]:
        try:
            text += os.read(master, 65536).decode()
        except OSError:
            break
    os.close(master)
    lines = text.splitlines()
    require(lines and max(map(len, lines)) <= 80 < max(map(len, whole.splitlines())), f"on 80 columns: {lines}")
    for address in ("192.0.2.10", "192.0.2.11", "198.51.100.1"):
        require(f"={address} " in text.replace("\r\n", " "), f"{address} is not whole in {lines}")


def check_top(router):
    """On a terminal a screen, and elsewhere lines."""
    lines = router.natctl("top", "--count", "2", "--interval", "100ms").stdout.splitlines()
    require(len(lines) == 2 and all("ready to fail over  MAIN-GW MASTER, peer BACKUP" in line for line in lines),
            f"top without a terminal: {lines}")
    looks = [json.loads(line) for line in
             router.natctl("top", "--count", "2", "--interval", "100ms", "--json").stdout.splitlines()]
    require(looks[0]["rates"]["seconds"] == 0 < looks[1]["rates"]["seconds"], f"top --json: {looks}")
    refused = router.natctl("top", "--interval", "1ms", check=False)
    require(refused.returncode == 2 and "100ms" in refused.stderr, f"a foolish interval: {refused.stderr}")
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    top = subprocess.Popen(router._command("natctl") + ["top"] + router.options(), stdin=slave, stdout=slave,
                           stderr=slave, env={**os.environ, "TERM": "xterm"}, preexec_fn=router.namespace.enter)
    os.close(slave)
    shown = b""
    try:
        end = time.monotonic() + 30
        while b"CONNECTIONS" not in shown and time.monotonic() < end:
            if select.select([master], [], [], 0.1)[0]:
                shown += os.read(master, 65536)
        os.write(master, b"q")
        wait_until(lambda: top.poll() is not None or drained(master), 30, "q ends top")
    finally:
        top.kill()
        top.wait()
        os.close(master)
    for text in (b"ready to fail over", b"MASTER", b"BACKUP", b"CONNECTIONS"):
        require(text in shown, f"top on a terminal does not show {text}: {shown}")
    require(top.returncode == 0, f"top ends with {top.returncode}")


def check_monitor(router, second):
    """A change of state while somebody looks on."""
    path = os.path.join(router.run_dir, "monitor.out")
    with open(path, "w", encoding="utf-8") as output:
        monitor = subprocess.Popen(router._command("natctl") + ["monitor"] + router.options(), stdout=output,
                                   preexec_fn=router.namespace.enter)
    try:
        def said(text):
            with open(path, encoding="utf-8") as file:
                return text in file.read()

        wait_until(lambda: said("MAIN-GW  is MASTER") and said("Z  ready to fail over"), 30,
                   "monitor says where things stand")
        second.stop()
        wait_until(lambda: said("NOT ready to fail over"), 30, "monitor says that the other router is lost")
    finally:
        monitor.terminate()
        require(monitor.wait(30) == 0, f"monitor ends with {monitor.returncode}")


def drained(master):
    """Reads on, so that nobody waits for us; never true."""
    if select.select([master], [], [], 0)[0]:
        try:
            os.read(master, 65536)
        except OSError:
            pass  # the other end is closed
    return False


def test_pair():
    """Status on both routers, metrics by promtool, config, nat check, doctor and completion."""
    lab = Lab()
    first, second = lab.start_pair()
    check_status(first, second)
    check_table_sizes(first, second)
    check_metrics(first)
    other = check_config(lab, first)
    check_nat(first, other)
    check_completion(first)
    check_peer_diff(lab, first, second)
    check_doctor(first, second)
    check_kernel_connections(first)
    check_narrow(first)
    check_top(first)
    check_monitoring(first.natctl("metrics").stdout)
    check_monitor(first, second)
    wait_until(lambda: first.natctl("status", check=False).returncode == 1, 30, "the loss of the peer shows in status")
    text = first.natctl("metrics").stdout
    promtool(text)
    require("steadynat_failover_ready 0" in text.splitlines(), "ready without a peer")
    try:
        promtool("steadynat x\n")
    except TestFailed:
        return
    raise TestFailed("promtool accepts everything")
