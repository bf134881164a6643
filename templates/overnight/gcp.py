"""Finds in its bucket what this machine of Google's is to run, takes its trigger away, hands over. Python 3.8."""

import base64
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import fetch

META = "http://169.254.169.254/computeMetadata/v1/"
CLAIMED = "claimed"
NAMES = {"meta-data/instance-type": "instance/machine-type", "meta-data/placement/availability-zone": "instance/zone"}
FINAL = (400, 404, 412)
EARLY_SECONDS = 120
LATEST_SECONDS = 3600


class Cloud:
    """The bucket, the secrets and the trigger, as the machine's service account may reach them."""

    def __init__(self, told):
        self.told = told
        self._token, self._until = "", 0.0
        self.instance = self.ask("instance/id")
        self.place = "out/%s/%s" % (told["label"], self.instance)
        self.bucket = "storage/v1/b/%s/o" % told["bucket"]

    def ask(self, path):
        asked = urllib.request.Request(META + path, headers={"Metadata-Flavor": "Google"})
        return fetch.patiently(lambda: _open(asked).read().decode(), fetch.ASK_SECONDS)

    def metadata(self, path):
        return self.ask(NAMES[path]).rpartition("/")[2]

    def get(self, key):
        return self.send("GET", "storage", "%s/%s?alt=media" % (self.bucket, urllib.parse.quote(key, safe="")))

    def put(self, name, body, size=None, digest=""):
        """Nothing is written over, for which a machine has no right: what changes has a new name each time."""
        if name.endswith(".json") and name != "outcome.json":
            name += ".%020d" % time.time_ns()
        self.create("%s/%s" % (self.place, name), body, size)

    def create(self, key, body, size=None):
        """False where somebody else was first. A lost answer, sent again, is our own."""
        asked = urllib.parse.urlencode({"uploadType": "media", "ifGenerationMatch": "0", "name": key})
        tries = []
        try:
            self.send("POST", "storage", "upload/%s?%s" % (self.bucket, asked), body, size, tries).read()
        except urllib.error.HTTPError as error:
            if error.code != 412:
                raise
            return len(tries) > 1
        return True

    def secret(self, place):
        found = json.loads(self.send("GET", "secretmanager", "v1/%s/versions/latest:access" % place).read())
        return base64.b64decode(found["payload"]["data"]).decode()

    def forget_triggers(self):
        """What would start the next machine, or fire again in a year."""
        for name in self.told["triggers"]:
            try:
                self.send("DELETE", "cloudscheduler", "v1/" + name).read()
            except OSError as error:
                if getattr(error, "code", 0) != 404:
                    print("the trigger %s stays: %s" % (name, error), file=sys.stderr)

    def first(self):
        """Whether no other machine was made for this time. One that has begun goes on after a reboot."""
        mark = os.path.join(fetch.ROOT, CLAIMED)
        if os.path.exists(mark):
            return True
        try:
            if not self.create("out/claims/%s/%s" % (self.told["label"], self.slot() or "once"), self.instance.encode()):
                return False
        except OSError as error:
            print("nobody can say whether another machine was made: %s" % error, file=sys.stderr)
        with open(mark, "w"):
            return True

    def slot(self):
        """Which of its times this is; None where there is but one, or none has come."""
        return max((one for one in self.told["times"] if one <= time.time() + EARLY_SECONDS), default=None)

    def late(self):
        """Whether a trigger fired long after its time, as it does in a year where nobody took it away."""
        due = self.slot() or self.told["due"]
        if time.time() < due + LATEST_SECONDS:
            return False
        try:
            return not self.ask("instance/attributes/mlrun-now")
        except urllib.error.HTTPError:
            return True

    def send(self, method, service, path, body=None, size=None, tries=None):
        tries = [] if tries is None else tries
        while True:
            tries.append(method)
            data = body() if callable(body) else body
            request = urllib.request.Request(self.base(service) + path, data=data, method=method)
            request.add_header("Authorization", "Bearer " + self.token())
            if data is not None:
                request.add_header("Content-Type", "application/octet-stream")
                request.add_header("Content-Length", str(len(data) if size is None else size))
            try:
                return _open(request)
            except urllib.error.HTTPError as error:
                if len(tries) == fetch.TRIES or error.code in FINAL:
                    raise
            except fetch.FAILED:
                if len(tries) == fetch.TRIES:
                    raise
            self._until = 0.0
            time.sleep(self.told.get("pause", 1.0) * 2 ** (len(tries) - 1))

    def base(self, service):
        return (self.told["endpoint"] or "https://%s.googleapis.com" % service) + "/"

    def token(self):
        if time.time() > self._until:
            found = json.loads(self.ask("instance/service-accounts/default/token"))
            self._token, self._until = found["access_token"], time.time() + min(600, found["expires_in"] - 60)
        return self._token


def _open(request):
    return urllib.request.urlopen(request, timeout=60)


def main():
    cloud = fetch.patiently(lambda: Cloud(fetch.told()), fetch.START_SECONDS, worth=fetch.at_all)
    over = bool(cloud.told.get("until")) and time.time() > cloud.told["until"]
    if over or not cloud.told["times"]:
        cloud.forget_triggers()
    if over or not cloud.first():
        return 0
    try:
        if not os.path.exists(os.path.join(fetch.ROOT, "night", "night.py")):
            if cloud.late():
                raise fetch.Refused("too-late", "Its trigger fired more than an hour after its time")
            fetch.unpack(cloud)
    except fetch.Refused as why:
        fetch.report(cloud, why.reason, str(why))
        return 1
    sys.path.insert(0, os.path.join(fetch.ROOT, "night"))
    import night

    return night.main(cloud)


if __name__ == "__main__":
    sys.exit(main())
