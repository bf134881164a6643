#!/bin/sh
# Ends this machine when its time is over. A timer calls it every 15 seconds; times are seconds of uptime, never of a clock
# that can be set. What the job's user can write holds the machine at most up to the hard limit.
set -u
root=${MLRUN_ROOT:-}
base=$root/var/lib/mlrun
state=$root/run/mlrun

number() { # number FILE ELSE: what a small plain file begins with
  value=
  [ ! -f "$1" ] || value=$(timeout 2 head -c 12 "$1" 2>/dev/null | tr -d '\000')
  value=${value%%[!0-9]*}
  echo "${value:-$2}"
}

limit() { # limit NAME ELSE
  value=$(sed -n "s/^$1=\([0-9][0-9]*\)\$/\1/p" "$base/limits" 2>/dev/null)
  echo "${value:-$2}"
}

keep() { # keep FILE NUMBER: in one piece or not at all
  { printf '%s\n' "$2" >"$1.part" && mv "$1.part" "$1"; } 2>/dev/null || true
}

finish() {
  echo "this machine ends: $1"
  exec "${MLRUN_END:-/usr/local/sbin/mlrun-end}" "$1"
}

unless_held() { # unless_held WHY
  [ "$up" -lt "$(number "$base/runs/hold" 0)" ] || finish "$1"
}

client_is_here() { # a login of the job's user
  for process in $(find "$root/proc" -maxdepth 1 -user "${MLRUN_USER:-mlrun}" -name '[0-9]*' 2>/dev/null); do
    case $(cat "$process/comm" 2>/dev/null) in sshd*) return 0 ;; esac
  done
  return 1
}

read -r up _ <"$root/proc/uptime"
up=${up%.*}
mkdir -p -m 0700 "$state"
born=$(number "$state/born" '')
if [ -z "$born" ]; then # the first look since this boot
  born=$up
  keep "$state/born" "$born"
  keep "$state/before" "$(number "$base/lived" 0)"
fi
lived=$(($(number "$state/before" 0) + up - born))
keep "$base/lived" "$lived"
[ "$lived" -lt "$(limit max_seconds 3600)" ] || finish "its hard limit is reached"

boot=$(cat "$root/proc/sys/kernel/random/boot_id" 2>/dev/null)
started=
for known in "$base"/runs/mlrun-*/agent.json; do
  attempt=${known%/agent.json}
  case ${attempt##*/} in *.*) continue ;; esac
  [ -f "$known" ] || continue
  started=yes
  if [ ! -f "$attempt/outcome.json" ] && grep -qsF "${boot:-?}" "$known"; then # it runs, in this boot
    rm -f "$state/idle"
    exit 0
  fi
done

if [ -z "$started" ]; then
  if [ -f "$base/runs/contact" ] && client_is_here; then
    keep "$state/seen" "$up"
  fi
  [ $((up - $(number "$state/seen" "$born"))) -lt "$(limit contact_seconds 1200)" ] || unless_held "nobody came to start the job"
  exit 0
fi

idle=$(number "$state/idle" '')
if [ -z "$idle" ]; then
  idle=$up
  keep "$state/idle" "$idle"
fi
[ $((up - idle)) -lt "$(limit grace_seconds 3600)" ] || unless_held "the job is over and its grace as well"
