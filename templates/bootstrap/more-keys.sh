
# Keys of the same owner's other computers: the SSH server asks the machine's own metadata, which nobody on it can change.
put 0755 /usr/local/sbin/mlrun-keys <<'MLRUN_FILE'
#!/bin/sh
exec curl -sf -m 5 -H 'Metadata-Flavor: Google' http://169.254.169.254/computeMetadata/v1/instance/attributes/mlrun-keys
MLRUN_FILE
put 0644 /etc/ssh/sshd_config.d/01-mlrun-keys.conf <<'MLRUN_FILE'
AuthorizedKeysCommand /usr/local/sbin/mlrun-keys
AuthorizedKeysCommandUser nobody
MLRUN_FILE
systemctl try-reload-or-restart --no-block ssh.service sshd.service 2>/dev/null || true
