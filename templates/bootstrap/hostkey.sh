#!/bin/sh
# Replaces the host key that came with the machine, once. `new` makes the next one and prints it; `use` puts it in place.
set -eu
key=/etc/ssh/ssh_host_ed25519_key
next=/etc/ssh/mlrun_next_key
done=/var/lib/mlrun/host-key-replaced
case ${1:-} in
new)
  [ ! -e "$done" ] || { cat "$key.pub"; exit 0; }
  [ -s "$next.pub" ] || { rm -f "$next"; ssh-keygen -q -t ed25519 -N '' -C '' -f "$next"; }
  cat "$next.pub"
  ;;
use)
  [ ! -e "$done" ] || exit 0
  mv "$next.pub" "$key.pub"
  mv "$next" "$key"
  : >"$done"
  systemctl restart ssh.service 2>/dev/null || systemctl restart sshd.service
  ;;
*) exit 2 ;;
esac
