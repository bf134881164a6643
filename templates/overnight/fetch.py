"""Fetches what this machine is to run from its bucket, checks it, hands over. Python 3.8, standard library only."""

import datetime as dt
import hashlib
import hmac
import http.client
import json
import os
import re
import socket
import ssl
import sys
import tarfile
import time
import urllib.error
import urllib.parse
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = "/var/lib/mlrun/runs"
IMDS = "http://169.254.169.254/latest/"
CHUNK = 1 << 20
TRIES = 6
ASK_SECONDS = 60
START_SECONDS = 600
"""A bucket or a metadata service that is away for less loses no night."""
LONGEST_PAUSE = 60.0
FAILED = (OSError, http.client.HTTPException)


class Refused(Exception):
    """The job cannot be run: a reason in one word, and a sentence."""

    def __init__(self, reason, words):
        Exception.__init__(self, words)
        self.reason = reason


def passes(error):
    """Whether the same may be well in a while: the network, or a service that says so of itself."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code >= 500 or error.code in (408, 429)
    away = (urllib.error.URLError, ConnectionError, socket.timeout, ssl.SSLError, http.client.HTTPException)
    return isinstance(error, away)


def patiently(act, seconds, pause=1.0, worth=passes):
    """What `act` comes to, which is tried again and again for so long; then its last failure."""
    until = time.monotonic() + seconds
    while True:
        try:
            return act()
        except FAILED as error:
            left = until - time.monotonic()
            if left <= 0 or not worth(error):
                raise
            print("tried again in a while: %s" % error, file=sys.stderr)
        time.sleep(min(pause, left))
        pause = min(pause * 2, LONGEST_PAUSE)


class Cloud:
    """The bucket and the parameters, as the machine's own role may reach them."""

    def __init__(self, told):
        self.told, self.region = told, told["region"]
        self._keys, self._until = {}, 0.0
        self.instance = self.metadata("meta-data/instance-id")
        own = "%s:%s" % (told["role"], self.instance)
        self.place = "/".join(part for part in (told.get("below", "out"), told["label"], own) if part)

    def metadata(self, path):
        return patiently(lambda: self._metadata(path), ASK_SECONDS)

    def _metadata(self, path):
        ttl = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
        token = _open(urllib.request.Request(IMDS + "api/token", method="PUT", headers=ttl)).read().decode()
        asked = urllib.request.Request(IMDS + path, headers={"X-aws-ec2-metadata-token": token})
        return _open(asked).read().decode()

    def keys(self):
        if time.time() > self._until:
            base = "meta-data/iam/security-credentials/"
            self._keys = json.loads(self.metadata(base + self.metadata(base).split()[0]))
            self._until = time.time() + 600
        return self._keys

    def get(self, key):
        return self._send("s3", "GET", key)

    def put(self, name, body, size=None, digest=""):
        """`body` is bytes, or a function that opens a file."""
        self._send("s3", "PUT", "%s/%s" % (self.place, name), body, size, digest).read()

    def secret(self, name):
        asked = json.dumps({"Name": name, "WithDecryption": True}).encode()
        return json.loads(self._send("ssm", "POST", "", asked).read())["Parameter"]["Value"]

    def _send(self, service, method, key, body=b"", size=None, digest=""):
        for number in range(TRIES):
            data = body() if callable(body) else body
            try:
                return _open(self._signed(service, method, key, data, size, digest))
            except urllib.error.HTTPError as error:
                if number + 1 == TRIES or error.code in (400, 404):
                    raise
            except FAILED:
                if number + 1 == TRIES:
                    raise
            self._until = 0.0
            time.sleep(self.told.get("pause", 1.0) * 2**number)

    def _signed(self, service, method, key, data, size, digest):
        path = "/" + urllib.parse.quote(key, safe="/-_.~")
        ends = "amazonaws.com.cn" if self.region.startswith("cn-") else "amazonaws.com"
        base, bucket = self.told["endpoint"], self.told["bucket"]
        if base and service == "s3":
            path = "/" + bucket + path
        base = base or "https://%s%s.%s.%s" % (bucket + "." if service == "s3" else "", service, self.region, ends)
        keys = self.keys()
        now = dt.datetime.now(dt.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        payload = digest or hashlib.sha256(data).hexdigest()
        headers = {
            "host": urllib.parse.urlsplit(base).netloc,
            "x-amz-content-sha256": payload,
            "x-amz-date": now,
            "x-amz-security-token": keys["Token"],
        }
        if service == "s3":
            headers.update({"content-type": "application/octet-stream", "x-amz-expected-bucket-owner": self.told["account"]})
        else:
            headers.update({"content-type": "application/x-amz-json-1.1", "x-amz-target": "AmazonSSM.GetParameter"})
        names = ";".join(sorted(headers))
        lines = "".join("%s:%s\n" % (name, headers[name]) for name in sorted(headers))
        scope = "%s/%s/%s/aws4_request" % (now[:8], self.region, service)
        asked = hashlib.sha256(f"{method}\n{path}\n\n{lines}\n{names}\n{payload}".encode()).hexdigest()
        secret = ("AWS4" + keys["SecretAccessKey"]).encode()
        for part in scope.split("/"):
            secret = hmac.new(secret, part.encode(), hashlib.sha256).digest()
        words = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{asked}"
        mark = hmac.new(secret, words.encode(), hashlib.sha256).hexdigest()
        said = "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s"
        headers["Authorization"] = said % (keys["AccessKeyId"], scope, names, mark)
        if method != "GET":
            headers["Content-Length"] = str(len(data) if size is None else size)
        return urllib.request.Request(base + path, data=None if method == "GET" else data, headers=headers, method=method)


def at_all(error):
    """At a machine's start its metadata may not be there yet, whatever they say; a file that is missing stays so."""
    return passes(error) or isinstance(error, urllib.error.HTTPError)


def told():
    """What this machine was told at its birth."""
    with open(os.path.join(HERE, "night.json")) as file:
        return json.load(file)


def unpack(cloud):
    """The bundle, whole and unchanged, in its place."""
    path = os.path.join(ROOT, "night.tar.gz")
    try:
        digest = patiently(lambda: download(cloud, path), START_SECONDS, cloud.told.get("pause", 1.0))
    except urllib.error.HTTPError as error:
        code = re.search(r"<Code>(\w+)", error.read(4096).decode("utf-8", "replace"))
        raise Refused("bundle-missing", "The bundle cannot be read: %s" % (code.group(1) if code else error.code))
    except FAILED as error:
        raise Refused("bundle-missing", "The bundle cannot be read: %s" % error)
    if digest != cloud.told["sha256"]:
        raise Refused("bundle-corrupted", "The bundle in the bucket is not the one that was put there")
    with tarfile.open(path) as bundle:
        bundle.extractall(ROOT)
    os.unlink(path)


def download(cloud, path):
    """The bundle as the bucket has it, all of it; its SHA-256."""
    digest, size = hashlib.sha256(), 0
    with cloud.get(cloud.told["bundle"]) as source, open(path, "wb") as file:
        whole = source.headers["Content-Length"]
        for chunk in iter(lambda: source.read(CHUNK), b""):
            digest.update(chunk)
            file.write(chunk)
            size += len(chunk)
    if whole is not None and size != int(whole):
        raise ConnectionError("the connection ended after %d of %s bytes" % (size, whole))
    return digest.hexdigest()


def report(cloud, reason, words):
    """The last word of a machine on which no job was started."""
    said = {"refused": reason, "words": words, "instance": cloud.instance, "ended": time.time()}
    body = json.dumps(said).encode()
    patiently(lambda: cloud.put("outcome.json", body), START_SECONDS, cloud.told.get("pause", 1.0))


def _open(request):
    return urllib.request.urlopen(request, timeout=60)


def main():
    cloud = patiently(lambda: Cloud(told()), START_SECONDS, worth=at_all)
    try:
        if not cloud.told.get("visited") and not os.path.exists(os.path.join(ROOT, "night", "night.py")):
            unpack(cloud)
    except Refused as why:
        report(cloud, why.reason, str(why))
        return 1
    sys.path.insert(0, HERE if cloud.told.get("visited") else os.path.join(ROOT, "night"))
    import night

    return night.main(cloud)


if __name__ == "__main__":
    sys.exit(main())
