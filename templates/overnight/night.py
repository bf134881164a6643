"""Runs the job of a night, or looks after one: log, outputs and checkpoint go into the bucket as they come. Python 3.8."""

import glob
import hashlib
import json
import os
import subprocess
import sys
import time
import urllib.error

from fetch import ASK_SECONDS, CHUNK, FAILED, ROOT, Refused, patiently, report

LARGEST = 5 * 10**9
"""What one request may put into a bucket."""
LEAST_SECONDS = 60
SETTLED_SECONDS = 10
"""A file that was not touched for so long is taken for whole."""
HOLD_SECONDS = 3600
"""What is left to say at the end is tried again for so long."""
BETWEEN_SECONDS = 600
"""The same, where other jobs of the night wait for it."""
LOOKS = 60
"""A job whose state cannot be read so often in a row is given up."""
LOG_PIECE = 8 << 20
HERE = os.path.dirname(os.path.abspath(__file__))


class Night:
    """One job, from its start to its last word. A machine that is `visited` has it started by whoever comes."""

    def __init__(self, cloud, job, patience=HOLD_SECONDS):
        self.cloud, self.told, self.job, self.patience = cloud, cloud.told, job, patience
        self.label = self.told["label"]
        self.folder = os.path.join(ROOT, self.label)
        self.pieces, self.logged, self.upto = self.shipped()
        self.machine, self.unread = {}, 0
        self.sent, self.seen, self.missed = set(), {}, []
        self.told_last = self.kept_last = 0.0
        self.saved, self.saved_last = [], time.time()

    def run(self):
        if not self.told.get("visited") and self.look()["phase"] == "absent":
            self.start()
        every = self.told.get("every", 5.0)
        pause = min(0.5, every)
        while True:
            found = self.look()
            self.ship(found)
            if found["phase"] in ("ended", "lost"):
                return self.finish(found)
            time.sleep(pause)
            pause = min(pause * 2, every)

    def start(self):
        spec = dict(self.job["spec"], secrets=self.secrets())
        left = self.told["deadline"] - uptime()
        if self.told.get("latest"):
            left = min(left, self.told["latest"] - time.time())
        if left < LEAST_SECONDS:
            raise Refused("too-late", "It was started too late to be done in time")
        spec["deadline_seconds"] = left
        spec["env"] = dict(spec["env"], DISPATCHER_DEADLINE="%d" % (time.time() + left))
        done = self.agent("start", json.dumps(spec).encode())
        if done.returncode:
            raise Refused("not-started", done.stderr.decode("utf-8", "replace").strip()[-300:] or "The agent failed")

    def secrets(self):
        found = {}
        for name, place in self.told["secrets"].items():
            try:
                found[name] = self.cloud.secret(place)
            except (urllib.error.HTTPError, KeyError):
                raise Refused("secret-missing", "The secret %s is not at %s, or may not be read" % (name, place))
        return found

    def look(self):
        """What the agent says; for a while it may say nothing, as on a full disk."""
        try:
            found = json.loads(self.agent("status").stdout)
            found["phase"]
        except (ValueError, TypeError, KeyError) as error:
            self.unread += 1
            print("the state of the job cannot be read: %s" % error, file=sys.stderr)
            return {"phase": "lost" if self.unread >= LOOKS else "unknown"}
        self.unread = 0
        return found

    def agent(self, verb, stdin=b""):
        program = os.path.join(ROOT, self.job["agent"], "agent.py")
        env = dict(os.environ, DISPATCHER_LABEL=self.label) if verb == "start" else None
        argv = [sys.executable, "-ES", program, verb, self.folder]
        return subprocess.run(argv, input=stdin, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def ship(self, found):
        """What is new since the last time. A bucket that does not answer for a while stops no job."""
        try:
            self.ship_log()
            if time.time() - self.told_last > self.told.get("tell", 30.0):
                self.told_last = time.time()
                self.cloud.put("state.json", json.dumps(self.about(found)).encode())
            if time.time() - self.kept_last > self.told.get("keep", 120.0):
                self.kept_last = time.time()
                self.ship_settled()
            if time.time() - self.saved_last > self.job.get("checkpoint_seconds", 600.0):
                self.saved_last = time.time()
                self.ship_checkpoint()
        except FAILED as error:
            print("the bucket does not take it now: %s" % error, file=sys.stderr)

    def ship_log(self):
        while True:
            try:
                with open(os.path.join(self.folder, "log"), "rb") as file:
                    file.seek(self.logged)
                    piece = file.read(self.upto - self.logged or LOG_PIECE)
            except OSError:
                return
            if not piece:
                return
            if self.upto == self.logged:
                self.upto = self.logged + len(piece)
                self.promise()
            self.cloud.put("log/%08d" % self.pieces, piece)
            self.pieces += 1
            self.logged = self.upto = self.logged + len(piece)

    def promise(self):
        """A piece that was sent is the same when it is sent again, after a reboot too: none is written over by another."""
        try:
            write(os.path.join(self.folder, "shipped"), json.dumps([self.pieces, self.logged, self.upto]))
        except OSError as error:
            print("a reboot would send the log again: %s" % error, file=sys.stderr)

    def shipped(self):
        """The number of the next piece of the log, and from where to where it goes."""
        try:
            with open(os.path.join(self.folder, "shipped")) as file:
                pieces, logged, upto = json.load(file)
                return int(pieces), int(logged), int(upto)
        except (OSError, ValueError, TypeError):
            return 0, 0, 0

    def ship_settled(self):
        """Outputs that nobody writes to any more, while the job goes on."""
        kept = []
        for path in self.outputs():
            known = os.stat(path)
            mark = (known.st_size, known.st_mtime)
            if time.time() - known.st_mtime < SETTLED_SECONDS or os.path.islink(path):
                continue
            name = os.path.relpath(path, self.job["spec"]["cwd"])
            if self.seen.get(name, ((),))[0] != mark:
                self.seen[name] = (mark, digest(path))
            row = {"path": name, "size": mark[0], "mode": known.st_mode & 0o777, "sha256": self.seen[name][1]}
            if self.ship_file(path, row):
                kept.append(row)
        if kept:
            self.cloud.put("partial.json", json.dumps({"outputs": kept, "time": time.time()}).encode())

    def ship_checkpoint(self):
        """What the job has saved: told once every file of it is there, whole; until then the copy before counts."""
        if not self.job.get("checkpoint"):
            return
        rows = [row for row in self.manifest([self.job["checkpoint"] + "/"]) if "refused" not in row]
        if not rows or rows == self.saved:
            return
        for row in rows:
            if not self.ship_file(os.path.join(self.job["spec"]["cwd"], row["path"]), row):
                return
        self.cloud.put("checkpoint.json", json.dumps({"files": rows, "time": time.time()}).encode())
        self.saved = rows

    def outputs(self):
        for pattern in self.job["outputs"]:
            for found in sorted(glob.glob(os.path.join(self.job["spec"]["cwd"], pattern), recursive=True)):
                if os.path.isfile(found):
                    yield found
                for folder, _, names in os.walk(found):
                    for name in names:
                        if os.path.isfile(os.path.join(folder, name)):
                            yield os.path.join(folder, name)

    def ship_file(self, path, row):
        if row["size"] > LARGEST:
            self.missed.append({"path": row["path"], "why": "it is larger than 5 GB"})
            return False
        if row["sha256"] not in self.sent:
            if os.path.getsize(path) != row["size"]:
                raise OSError("%s changes while it is copied" % row["path"])
            self.cloud.put("files/" + row["sha256"], lambda: open(path, "rb"), row["size"], row["sha256"])
            self.sent.add(row["sha256"])
        return True

    def finish(self, found):
        """The machine waits for this, at most to its hard limit."""
        before, ours = held(), hold(self.patience)
        self.until = time.monotonic() + self.patience
        self.missed, kept = [], []
        if found.get("exit_code") != 0 or found.get("reason") != "exited":  # a polite end may be a machine's taken back
            try:
                self.surely(self.ship_checkpoint)
            except FAILED as error:
                print("the checkpoint is not copied: %s" % error, file=sys.stderr)
        for row in self.manifest(self.job["outputs"]):
            if "refused" in row:
                self.missed.append({"path": row["path"], "why": row["refused"]})
                continue
            try:
                if self.surely(self.ship_file, os.path.join(self.job["spec"]["cwd"], row["path"]), row):
                    kept.append(row)
            except FAILED as error:
                self.missed.append({"path": row["path"], "why": "the bucket does not take it: %s" % error})
        self.surely(self.ship_log)
        for name, most in (("setup.log", 1 << 20), ("samples.jsonl", LOG_PIECE)):
            beside = os.path.join(self.folder, name)
            if os.path.exists(beside):
                with open(beside, "rb") as file:
                    file.seek(max(0, os.path.getsize(beside) - most))
                    self.surely(self.cloud.put, name, file.read())
        said = dict(self.about(found), outputs=kept, missed=self.missed, pieces=self.pieces, log_size=self.logged)
        self.surely(self.cloud.put, "outcome.json", json.dumps(said).encode())
        if self.told.get("visited"):
            write(os.path.join(HERE, "done.json"), json.dumps({"missed": self.missed}))
            if held() == ours:
                write(os.path.join(ROOT, "hold"), "%d\n" % before)
        return 0

    def surely(self, act, *given):
        """At the end nothing comes after: a bucket that is away is waited for as long as the machine is held."""
        return patiently(lambda: act(*given), max(ASK_SECONDS, self.until - time.monotonic()), self.told.get("pause", 1.0))

    def manifest(self, patterns):
        program = os.path.join(ROOT, self.job["agent"], "manifest.py")
        asked = {"root": self.job["spec"]["cwd"], "patterns": patterns, "since": 0}
        done = subprocess.run(
            [sys.executable, "-ES", program], input=json.dumps(asked).encode(), stdout=subprocess.PIPE, check=False
        )
        return [json.loads(line) for line in done.stdout.splitlines()]

    def about(self, found):
        now = time.time()
        return {"status": found, "machine": self.described(), "born": now - uptime(), "ended": now}

    def described(self):
        """Of what kind this machine is, where its metadata say so: no job is lost for that."""
        if not self.machine:
            named = {"type": "instance-type", "zone": "placement/availability-zone"}
            try:
                found = {key: self.cloud.metadata("meta-data/" + path) for key, path in named.items()}
            except FAILED as error:
                print("the machine's kind is not known: %s" % error, file=sys.stderr)
                return {"id": self.cloud.instance}
            self.machine = dict(found, id=self.cloud.instance)
        return self.machine


class Part:
    """The cloud as one job of several sees it: a label, a deadline, secrets and a folder of the bucket of its own."""

    def __init__(self, cloud, number, job):
        self.cloud, self.below = cloud, "%d/" % number
        secrets = {name: place for name, place in cloud.told["secrets"].items() if name in job["secrets"]}
        label = "%s-%d" % (cloud.told["label"].rpartition("-")[0], number)
        deadline = min(cloud.told["deadline"], uptime() + job["seconds"])
        self.told = dict(cloud.told, label=label, secrets=secrets, deadline=deadline, latest=job["latest"])

    def put(self, name, *rest):
        self.cloud.put(self.below + name, *rest)

    def __getattr__(self, name):
        return getattr(self.cloud, name)


def uptime():
    """Seconds since this machine was made: it starts once."""
    with open("/proc/uptime") as file:
        return float(file.read().split()[0])


def hold(seconds):
    """What ends this machine waits so long, or longer where it was told so before; until when."""
    until = max(held(), int(uptime() + seconds))
    try:
        write(os.path.join(ROOT, "hold"), "%d\n" % until)
    except OSError as error:
        print("the machine is not held: %s" % error, file=sys.stderr)
    return until


def held():
    """Until when what ends this machine waits; 0 where nobody said."""
    try:
        with open(os.path.join(ROOT, "hold")) as file:
            return int(file.read())
    except (OSError, ValueError):
        return 0


def write(path, text):
    """In one piece or not at all."""
    with open(path + ".part", "w") as file:
        file.write(text)
    os.rename(path + ".part", path)


def digest(path):
    found = hashlib.sha256()
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(CHUNK), b""):
            found.update(chunk)
    return found.hexdigest()


def run(cloud, job, patience=HOLD_SECONDS):
    try:
        return Night(cloud, job, patience).run()
    except Refused as why:
        report(cloud, why.reason, str(why))
        return 1


def in_turn(cloud, jobs):
    """Several jobs, one after another: what becomes of one is not the next one's affair, but for the time that is left."""
    for number, job in enumerate(jobs, 1):
        try:
            run(Part(cloud, number, job), job, BETWEEN_SECONDS if number < len(jobs) else HOLD_SECONDS)
        except Exception as error:  # whatever it is, the next job is not to blame
            print("job %d: %s: %s" % (number, type(error).__name__, error), file=sys.stderr)
    said = json.dumps(dict(Night(cloud, jobs[-1]).about({}), queue=len(jobs))).encode()
    hold(HOLD_SECONDS)
    patiently(lambda: cloud.put("outcome.json", said), HOLD_SECONDS, cloud.told.get("pause", 1.0))
    return 0


def main(cloud):
    with open(os.path.join(HERE, "job.json")) as file:
        job = json.load(file)
    return in_turn(cloud, job["queue"]) if "queue" in job else run(cloud, job)
