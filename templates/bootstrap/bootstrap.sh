#!/bin/sh
# mlrun-limits: @LIMITS_LINE@
# Makes a rented machine ours: its end first, then the user, then the SSH server. Runs as root at every boot, acts once.
set -eu
base=/var/lib/mlrun
if [ -e "$base/ready" ]; then
  exit 0
fi

put() { # put MODE PATH <content
  mkdir -p "${2%/*}"
  cat >"$2.part"
  chmod "$1" "$2.part"
  mv "$2.part" "$2"
}

mkdir -p "$base"
put 0644 "$base/limits" <<'MLRUN_FILE'
@LIMITS@
MLRUN_FILE
put 0755 /usr/local/sbin/mlrun-end <<'MLRUN_FILE'
@END@
MLRUN_FILE
put 0755 /usr/local/sbin/mlrun-deadman <<'MLRUN_FILE'
@DEADMAN@
MLRUN_FILE
put 0644 /etc/systemd/system/mlrun-deadman.service <<'MLRUN_FILE'
@SERVICE@
MLRUN_FILE
put 0644 /etc/systemd/system/mlrun-deadman.timer <<'MLRUN_FILE'
@TIMER@
MLRUN_FILE
systemctl daemon-reload
systemctl enable mlrun-deadman.timer
systemctl start --no-block mlrun-deadman.timer

id mlrun >/dev/null 2>&1 || useradd --create-home --shell /bin/bash mlrun
usermod --password '*' mlrun
for group in video render; do
  ! getent group "$group" >/dev/null || usermod --append --groups "$group" mlrun
done
install -d -o root -g root -m 0755 "$base"
install -d -o mlrun -g mlrun -m 0700 "$base/runs"
install -d -o root -g root -m 0755 /var/lib/systemd/linger
: >/var/lib/systemd/linger/mlrun # what runs for the user outlives its logins
printf '%s\n' '@LABEL@' | put 0644 "$base/label"

put 0644 /etc/ssh/sshd_config.d/00-mlrun.conf <<'MLRUN_FILE'
@SSHD@
MLRUN_FILE
grep -qs '^Include /etc/ssh/sshd_config.d/' /etc/ssh/sshd_config ||
  sed -i '1i Include /etc/ssh/sshd_config.d/*.conf' /etc/ssh/sshd_config
put 0755 /usr/local/sbin/mlrun-hostkey <<'MLRUN_FILE'
@HOSTKEY@
MLRUN_FILE
put 0440 /etc/sudoers.d/90-mlrun <<'MLRUN_FILE'
mlrun ALL=(root) NOPASSWD: /usr/local/sbin/mlrun-hostkey new, /usr/local/sbin/mlrun-hostkey use
MLRUN_FILE
systemctl mask apt-daily.timer apt-daily-upgrade.timer unattended-upgrades.service >/dev/null 2>&1 || true
install -d -o mlrun -g mlrun -m 0700 ~mlrun/.ssh
printf '%s\n' '@PUBLIC_KEY@' | put 0600 ~mlrun/.ssh/authorized_keys
chown mlrun:mlrun ~mlrun/.ssh/authorized_keys
systemctl try-reload-or-restart --no-block ssh.service sshd.service 2>/dev/null || true
@EXTRA@
: >"$base/ready"
