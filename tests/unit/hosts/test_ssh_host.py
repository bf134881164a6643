"""A host over a real sshd: programs, strangers, hosts of one's own."""

from __future__ import annotations

import getpass
import threading
import time

import pytest

from dispatcher.errors import HostKeyMismatch, HostUnreachable
from dispatcher.hosts.keys import new_key
from dispatcher.hosts.ssh import SshHost, Target
from tests.unit.hosts.kit import AWKWARD, host, needs_sshd, server, target, wire

__all__ = ["host", "server", "target", "wire"]
pytestmark = needs_sshd


class TestPrograms:
    def test_a_program_has_its_input_its_output_and_its_code(self, host):
        done = host.run(["sh", "-c", "cat; echo oh >&2; exit 3"], stdin=AWKWARD)
        assert (3, AWKWARD, b"oh\n") == (done.code, done.stdout, done.stderr)

    @pytest.mark.parametrize("word", ["a b", "$HOME", "'", '"; touch owned', "`id`", "*", "\n", "", "ünï"])
    def test_no_shell_reads_an_argument(self, host, word):
        assert word.encode() == host.run(["printf", "%s", word]).stdout

    def test_output_is_handed_on_as_it_comes(self, host):
        said: list[tuple[float, bytes]] = []
        host.run(["sh", "-c", "echo a; sleep 0.3; echo b"], on_output=lambda one: said.append((time.monotonic(), one)))
        assert [b"a\n", b"b\n"] == [one for _, one in said]
        assert said[1][0] - said[0][0] > 0.2

    def test_a_program_that_reads_none_of_a_large_input_ends_as_it_does(self, host):
        assert 5 == host.run(["sh", "-c", "exit 5"], stdin=bytes(20_000_000)).code

    def test_much_complaint_is_heard_whole(self, host):
        done = host.run(["sh", "-c", "head -c 30000000 /dev/zero >&2"])
        assert (0, 30_000_000) == (done.code, len(done.stderr))

    def test_what_is_not_there_is_the_shells_127(self, host):
        assert 127 == host.run(["no-such-program"]).code

    def test_many_at_once_share_the_connection(self, host):
        found: list[bytes] = []
        threads = [
            threading.Thread(target=lambda n=n: found.append(host.run(["sh", "-c", f"sleep 0.1; echo {n}"]).stdout))
            for n in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(b"%d\n" % n for n in range(6)) == sorted(found)

    def test_the_home_folder_stands_for_its_sign(self, target, server):
        host = SshHost.open(target, "~/.local/runs")
        assert f"{server.home}/.local/runs" == host.root
        host.close()


class TestStrangers:
    def test_another_host_key_is_refused_before_anything_is_sent(self, target, server, tmp_path):
        before = (server.folder / "log").read_text()
        with pytest.raises(HostKeyMismatch, match="another host key"):
            SshHost.open(Target("desk", "127.0.0.1", target.user, target.port, target.key, (new_key()[1],)), str(tmp_path))
        time.sleep(0.1)
        assert "Accepted" not in (server.folder / "log").read_text()[len(before) :]

    def test_no_pinned_key_lets_nobody_in(self, target, tmp_path):
        with pytest.raises(HostKeyMismatch):
            SshHost.open(Target("desk", "127.0.0.1", target.user, target.port, target.key), str(tmp_path))

    def test_a_pin_that_is_no_key_is_refused(self, target, tmp_path):
        with pytest.raises(HostKeyMismatch):
            SshHost.open(Target("desk", "127.0.0.1", target.user, target.port, target.key, ("ssh-ed25519 !!",)), str(tmp_path))

    def test_only_the_runs_key_is_offered(self, target, server, tmp_path, monkeypatch):
        """Neither an agent nor the keys in ~/.ssh are shown to a rented machine."""
        monkeypatch.setenv("HOME", str(tmp_path))
        (tmp_path / ".ssh").mkdir()
        (tmp_path / ".ssh" / "id_ed25519").write_bytes(server.key.read_bytes())
        other = tmp_path / "other"
        other.write_text(new_key()[0])
        with pytest.raises(HostUnreachable, match="does not let us in"):
            SshHost.open(Target("desk", "127.0.0.1", target.user, target.port, other, target.host_keys), str(tmp_path))

    def test_where_nobody_listens_the_host_is_unreachable(self, target, tmp_path):
        with pytest.raises(HostUnreachable, match="does not answer"):
            SshHost.open(Target("desk", "127.0.0.1", target.user, 1, target.key, target.host_keys), str(tmp_path))


class TestOwnedHosts:
    @pytest.fixture
    def ssh_home(self, server, tmp_path, monkeypatch):
        """A user whose configuration names the host `desk`."""
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
        folder = tmp_path / ".ssh"
        folder.mkdir()
        (folder / "more").write_text(
            f"Host desk\n HostName 127.0.0.1\n Port {server.port}\n User {getpass.getuser()}\n IdentityFile {server.key}\n"
        )
        (folder / "config").write_text(f"Include {folder}/more\nHost far\n HostName 127.0.0.1\n ProxyJump desk\n")
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{server.port} {server.host_key}\n")
        return folder

    def test_the_users_configuration_leads_there(self, ssh_home, tmp_path):
        host = SshHost.open(Target("desk", "desk", config=True), str(tmp_path / "runs"))
        assert b"in\n" == host.run(["echo", "in"]).stdout
        host.close()

    def test_a_jump_host_leads_further(self, ssh_home, server, tmp_path):
        with (ssh_home / "config").open("a") as file:
            file.write(f"Host far\n Port {server.port}\n IdentityFile {server.key}\n User {getpass.getuser()}\n")
        host = SshHost.open(Target("far", "far", config=True), str(tmp_path / "runs"))
        assert b"in\n" == host.run(["echo", "in"]).stdout
        host.close()

    def test_a_proxy_command_is_honoured(self, ssh_home, server, tmp_path):
        (ssh_home / "config").write_text(
            f"Host near\n HostName 127.0.0.1\n Port {server.port}\n User {getpass.getuser()}\n IdentityFile {server.key}\n"
            f' ProxyCommand python3 -c \'import socket,sys,os,threading; s=socket.create_connection(("%h",%p));'
            ' threading.Thread(target=lambda: [os.write(1,d) for d in iter(lambda: s.recv(65536),b"")],daemon=True).start();'
            ' [s.sendall(d) for d in iter(lambda: os.read(0,65536),b"")]\'\n'
        )
        host = SshHost.open(Target("near", "near", config=True), str(tmp_path / "runs"))
        assert b"in\n" == host.run(["echo", "in"]).stdout
        host.close()

    def test_a_host_that_known_hosts_does_not_know_is_refused_with_the_way_out(self, ssh_home, tmp_path):
        (ssh_home / "known_hosts").write_text("")
        with pytest.raises(HostKeyMismatch) as caught:
            SshHost.open(Target("desk", "desk", config=True), str(tmp_path / "runs"))
        assert "ssh desk" in caught.value.fix
